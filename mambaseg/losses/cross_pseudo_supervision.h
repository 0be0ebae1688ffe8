#pragma once

#include "mambaseg/losses/dice.h"
#include "mambaseg/losses/joint_loss.h"

namespace mambaseg {

/// Weak-Mamba-UNet's loss for learning from scribbles (Wang, Ma 2024, arXiv 2402.10887;
/// github.com/ziyangwang007/Weak-Mamba-UNet, code/train_weak_mamba_unet.py): the sum over networks m of
///   cross-entropy of scores_m over the labelled pixels
///   + pseudo_weight * Dice of softmax(scores_m) against the pseudo labels, over every pixel
/// where the pseudo labels are the argmax of sum_m w_m softmax(scores_m), through which no gradient goes, and
/// the weights w, which sum to 1, are drawn anew each time.
struct CrossPseudoSupervisionSettings {
  double pseudo_weight = 1;
  DiceSettings dice{.present_only = false, .squared = true};
  void describe(SettingsVisitor& visit) {
    visit("pseudo_weight", pseudo_weight, "factor of the Dice against the pseudo labels", at_least(0));
    visit("dice", dice, "the Dice part");
  }
};

/// Weights of `members` networks: the lengths of the pieces into which uniform numbers cut 0..1, from
/// LibTorch's generator, which a training step seeds.
std::vector<double> drawn_mix(size_t members);

/// The argmax (B, spatial...) of the mixed probabilities of scores[m] (B, K, spatial...).
torch::Tensor pseudo_labels(const std::vector<torch::Tensor>& scores, const std::vector<double>& mix);

/// The parts of one network, scalars.
struct MemberLosses {
  torch::Tensor cross_entropy, dice;
};

/// The parts of each network, with the pseudo labels of `mix`.
std::vector<MemberLosses> member_losses(const std::vector<torch::Tensor>& scores,
                                        const torch::Tensor& classes, const std::vector<double>& mix,
                                        const DiceSettings& dice);

extern const LossEntry cross_pseudo_supervision_entry;

}  // namespace mambaseg
