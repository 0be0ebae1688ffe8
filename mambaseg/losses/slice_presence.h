#pragma once

#include "mambaseg/losses/loss.h"

namespace mambaseg {

/// TranSamba's loss, which learns from which slices (along the last axis of volumes; of pictures the whole)
/// hold a class or region and sees nothing else of the labels: binary cross-entropy, mean over slices and
/// foreground classes (regions), of the largest log-odds of a slice's voxels. With K maps of classes the
/// log-odds are those of their softmax. Ignored voxels, and slices of no others, do not count.
struct SlicePresenceSettings {
  double positive_weight = 1;
  void describe(SettingsVisitor& visit) {
    visit("positive_weight", positive_weight, "what a slice that holds the class weighs more than another",
          at_least(0));
  }
};

extern const LossEntry slice_presence_entry;

}  // namespace mambaseg
