#include "mambaseg/losses/cross_pseudo_supervision.h"

#include <algorithm>

#include "mambaseg/losses/cross_entropy.h"

namespace mambaseg {
namespace {

using Settings = CrossPseudoSupervisionSettings;

class CrossPseudoSupervision : public JointLoss {
 public:
  explicit CrossPseudoSupervision(const Settings& settings) : settings_(settings) {}

  torch::Tensor of_members(const std::vector<torch::Tensor>& scores,
                           const torch::Tensor& classes) const override {
    for (const torch::Tensor& one : scores)
      if (one.sizes() != scores[0].sizes())
        throw UsageError(
            concat("loss: cross_pseudo_supervision is of networks that are trained together, as "
                   "weak_mamba_unet; expected scores of one size, got ",
                   scores[0].sizes(), " and ", one.sizes()));
    torch::Tensor sum;
    for (const MemberLosses& one : member_losses(scores, classes, drawn_mix(scores.size()), settings_.dice)) {
      const torch::Tensor part = one.cross_entropy + settings_.pseudo_weight * one.dice;
      sum = sum.defined() ? sum + part : part;
    }
    return sum;
  }

 private:
  Settings settings_;
};

}  // namespace

std::vector<double> drawn_mix(size_t members) {
  const torch::Tensor drawn = torch::rand({static_cast<int64_t>(members) - 1}, torch::kFloat64);
  std::vector<double> cuts(drawn.data_ptr<double>(), drawn.data_ptr<double>() + drawn.numel());
  cuts.push_back(1);
  std::sort(cuts.begin(), cuts.end());
  for (size_t m = members; m-- > 1;) cuts[m] -= cuts[m - 1];
  return cuts;
}

torch::Tensor pseudo_labels(const std::vector<torch::Tensor>& scores, const std::vector<double>& mix) {
  const torch::NoGradGuard no_grad;
  torch::Tensor mixed;
  for (size_t m = 0; m < scores.size(); ++m) {
    const torch::Tensor part = torch::softmax(scores[m], 1) * mix.at(m);
    mixed = mixed.defined() ? mixed + part : part;
  }
  return mixed.argmax(1);
}

std::vector<MemberLosses> member_losses(const std::vector<torch::Tensor>& scores,
                                        const torch::Tensor& classes, const std::vector<double>& mix,
                                        const DiceSettings& dice) {
  const torch::Tensor pseudo = pseudo_labels(scores, mix);
  std::vector<MemberLosses> losses;
  for (const torch::Tensor& one : scores)
    losses.push_back({weighted_cross_entropy(one, classes, {}), dice_loss(one, pseudo, dice)});
  return losses;
}

const LossEntry cross_pseudo_supervision_entry{
    "cross_pseudo_supervision",
    "networks trained together on scribbles: cross-entropy where something is labelled plus Dice against the "
    "labels on which their mixed scores agree (Weak-Mamba-UNet)",
    [](const Json& settings, const LossData&) -> std::unique_ptr<Loss> {
      return std::make_unique<CrossPseudoSupervision>(from_json<Settings>(settings, "loss"));
    },
    [] { return to_json(Settings{}); }, [] { return documentation<Settings>("loss"); }};

}  // namespace mambaseg
