#pragma once

#include "mambaseg/losses/dice.h"

namespace mambaseg {

/// dice_weight * Dice + cross_entropy_weight * binary cross-entropy of p = sigmoid(scores): every score
/// channel is a question of its own, so regions may overlap (nnU-Net's region-based training: whole tumour,
/// core, ...).
struct DiceBinaryCrossEntropySettings {
  double dice_weight = 1;
  double cross_entropy_weight = 1;
  std::vector<std::vector<int64_t>> regions;
  DiceSettings dice{1e-5, true, false, true};
  template <class Visitor>
  void describe(Visitor& visit) {
    visit("dice_weight", dice_weight, "factor of the Dice part", at_least(0));
    visit("cross_entropy_weight", cross_entropy_weight, "factor of the cross-entropy part", at_least(0));
    visit("regions", regions,
          "the classes that form the region of each score channel, one list a channel; empty: channel k is "
          "class k",
          at_least(0));
    visit("dice", dice, "the Dice part");
  }
};

/// Scores and targets (B, K, V); targets are 0 or 1. `counted_BV` may be undefined: all voxels count.
torch::Tensor dice_binary_cross_entropy(const torch::Tensor& scores_BKV, const torch::Tensor& targets_BKV,
                                        const torch::Tensor& counted_BV,
                                        const DiceBinaryCrossEntropySettings& settings);

extern const LossEntry dice_binary_cross_entropy_entry;

}  // namespace mambaseg
