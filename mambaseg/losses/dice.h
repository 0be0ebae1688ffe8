#pragma once

#include "mambaseg/losses/loss.h"

namespace mambaseg {

/// Soft Dice loss on softmax probabilities p and one-hot labels y:
///   1 - mean over classes k of (2 sum p_k y_k + eps) / (sum p_k + sum y_k + eps)
/// (Sudre et al. 2017), with `squared` the squares of p and y in the denominator (Milletari et al. 2016).
struct DiceSettings {
  double epsilon = 1e-5;
  bool background = true;
  bool present_only = true;
  bool pool_batch = true;
  bool squared = false;
  void describe(SettingsVisitor& visit) {
    visit("epsilon", epsilon, "added to numerator and denominator", at_least(1e-12));
    visit("background", background, "class 0 counts as a class");
    visit("present_only", present_only,
          "mean over the classes that occur in the labels of the batch, else over all");
    visit("pool_batch", pool_batch, "sums run over the whole batch, else each sample has its own Dice");
    visit("squared", squared, "the denominator sums squares of probabilities (V-Net)");
  }
};

/// Targets y (B, K, V) of classes (B, spatial...): 1 where the voxel is of class k, 0 elsewhere and for
/// ignored voxels.
torch::Tensor one_hot_targets(const torch::Tensor& classes, int64_t class_count, torch::ScalarType type);

/// The loss of probabilities p against targets y, both (B, K, V). `counted_BV`, which may be undefined, is
/// false for voxels that do not count.
torch::Tensor dice_loss_of(const torch::Tensor& p_BKV, const torch::Tensor& y_BKV,
                           const torch::Tensor& counted_BV, const DiceSettings& settings);

/// True for each voxel (B, V) that counts, or undefined when all do.
torch::Tensor counted_voxels(const torch::Tensor& classes);

torch::Tensor dice_loss(const torch::Tensor& scores, const torch::Tensor& classes,
                        const DiceSettings& settings);

extern const LossEntry dice_entry;

}  // namespace mambaseg
