#pragma once

#include "mambaseg/losses/dice.h"

namespace mambaseg {

/// dice_weight * Dice + cross_entropy_weight * binary cross-entropy of p = sigmoid(scores): every score
/// channel is a question of its own, so regions (LossData::regions) may overlap, as whole tumour and core.
/// Without regions channel k is class k. nnU-Net's DC_and_BCE_loss; its batch_dice is dice.pool_batch.
struct DiceBinaryCrossEntropySettings {
  double dice_weight = 1;
  double cross_entropy_weight = 1;
  DiceSettings dice{1e-5, true, false, true};
  void describe(SettingsVisitor& visit) {
    visit("dice_weight", dice_weight, "factor of the Dice part", at_least(0));
    visit("cross_entropy_weight", cross_entropy_weight, "factor of the cross-entropy part", at_least(0));
    visit("dice", dice, "the Dice part");
  }
};

/// 1 where a voxel's class belongs to the region of channel k: classes (B, ...) -> (B, K, ...).
torch::Tensor region_targets(const std::vector<std::vector<int64_t>>& regions, const torch::Tensor& classes,
                             torch::ScalarType type);

/// Scores and targets (B, K, V); targets are 0 or 1. The cross-entropy is the mean over all entries. With
/// `counted_BV`, which is undefined where no voxel is ever ignored, it is the mean over the voxels that count
/// of the sum over channels: nnU-Net's way, which then weighs it K times as much.
torch::Tensor dice_binary_cross_entropy(const torch::Tensor& scores_BKV, const torch::Tensor& targets_BKV,
                                        const torch::Tensor& counted_BV,
                                        const DiceBinaryCrossEntropySettings& settings);

extern const LossEntry dice_binary_cross_entropy_entry;

}  // namespace mambaseg
