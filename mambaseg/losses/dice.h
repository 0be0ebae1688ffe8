#pragma once

#include "mambaseg/losses/loss.h"

namespace mambaseg {

/// Soft Dice loss on softmax probabilities p and one-hot labels y:
///   1 - mean over classes k of (2 sum p_k y_k + eps) / (sum p_k + sum y_k + eps)
/// (Milletari et al. 2016 without squares; Sudre et al. 2017).
struct DiceSettings {
  double epsilon = 1e-5;
  bool background = true;
  bool present_only = true;
  bool pool_batch = true;
  template <class Visitor>
  void describe(Visitor& visit) {
    visit("epsilon", epsilon, "added to numerator and denominator", at_least(1e-12));
    visit("background", background, "class 0 counts as a class");
    visit("present_only", present_only,
          "mean over the classes that occur in the labels of the batch, else over all");
    visit("pool_batch", pool_batch, "sums run over the whole batch, else each sample has its own Dice");
  }
};

torch::Tensor dice_loss(const torch::Tensor& scores, const torch::Tensor& classes,
                        const DiceSettings& settings);

extern const LossEntry dice_entry;

}  // namespace mambaseg
