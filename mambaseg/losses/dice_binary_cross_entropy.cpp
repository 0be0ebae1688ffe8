#include "mambaseg/losses/dice_binary_cross_entropy.h"

namespace mambaseg {
namespace {

using Settings = DiceBinaryCrossEntropySettings;

class DiceBinaryCrossEntropy : public Loss {
 public:
  DiceBinaryCrossEntropy(const Settings& settings, const LossData& data)
      : settings_(settings), regions_(data.regions), ignores_(data.ignores) {}
  torch::Tensor operator()(const torch::Tensor& scores, const torch::Tensor& classes,
                           int64_t) const override {
    const auto channels = static_cast<size_t>(scores.size(1));
    if (!regions_.empty() && regions_.size() != channels)
      throw UsageError(
          concat("loss: ", regions_.size(), " regions, but the network has ", channels, " score channels"));
    const auto type = scores.scalar_type();
    const auto targets_BKV = regions_.empty() ? one_hot_targets(classes, scores.size(1), type)
                                              : region_targets(regions_, classes.flatten(1), type);
    const auto counted_BV = ignores_ ? classes.flatten(1) != kIgnoredClass : counted_voxels(classes);
    return dice_binary_cross_entropy(scores.flatten(2), targets_BKV, counted_BV, settings_);
  }

 private:
  Settings settings_;
  std::vector<std::vector<int64_t>> regions_;
  bool ignores_;
};

}  // namespace

torch::Tensor region_targets(const std::vector<std::vector<int64_t>>& regions, const torch::Tensor& classes,
                             torch::ScalarType type) {
  std::vector<torch::Tensor> targets;
  for (const auto& region : regions) {
    auto inside = torch::zeros_like(classes, torch::kBool);
    for (const int64_t member : region) inside.logical_or_(classes == member);
    targets.push_back(inside.to(type));
  }
  return torch::stack(targets, 1);
}

torch::Tensor dice_binary_cross_entropy(const torch::Tensor& scores_BKV, const torch::Tensor& targets_BKV,
                                        const torch::Tensor& counted_BV, const Settings& settings) {
  const auto dice = dice_loss_of(torch::sigmoid(scores_BKV), targets_BKV, counted_BV, settings.dice);
  const auto cost_BKV =
      torch::binary_cross_entropy_with_logits(scores_BKV, targets_BKV, {}, {}, at::Reduction::None);
  const auto entropy = counted_BV.defined()
                           ? (cost_BKV.sum(1) * counted_BV).sum() / counted_BV.sum().clamp_min(1)
                           : cost_BKV.mean();
  return settings.dice_weight * dice + settings.cross_entropy_weight * entropy;
}

const LossEntry dice_binary_cross_entropy_entry{
    "dice_binary_cross_entropy",
    "Dice plus binary cross-entropy of each score channel, for regions that overlap",
    [](const Json& settings, const LossData& data) -> std::unique_ptr<Loss> {
      return std::make_unique<DiceBinaryCrossEntropy>(from_json<Settings>(settings, "loss"), data);
    },
    [] { return to_json(Settings{}); },
    [] { return documentation<Settings>("loss"); },
    true};

}  // namespace mambaseg
