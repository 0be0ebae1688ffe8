#include "mambaseg/losses/slice_presence.h"

#include <limits>

#include "mambaseg/losses/dice_bce_boundary.h"
#include "mambaseg/losses/dice_binary_cross_entropy.h"

namespace mambaseg {
namespace {

/// Largest value of each slice: (B, K, Y, X, Z) -> (B, K, Z), (B, K, Y, X) -> (B, K).
torch::Tensor of_slices(const torch::Tensor& x) { return x.amax({2, 3}); }

class SlicePresence : public Loss {
 public:
  SlicePresence(const SlicePresenceSettings& settings, const LossData& data)
      : settings_(settings), regions_(data.regions) {}

  torch::Tensor operator()(const torch::Tensor& scores, const torch::Tensor& classes,
                           int64_t) const override {
    const auto voxels = regions_.empty() ? foreground_log_odds(scores) : scores;
    const auto type = voxels.scalar_type();
    auto regions = regions_;
    if (regions.empty())
      for (int64_t k = 1; k <= voxels.size(1); ++k) regions.push_back({k});
    if (static_cast<int64_t>(regions.size()) != voxels.size(1))
      throw UsageError(concat("loss: ", regions.size(), " regions, but the network has ", voxels.size(1),
                              " score channels"));
    const auto ignored = (classes == kIgnoredClass).unsqueeze(1);
    const auto largest = of_slices(voxels.masked_fill(ignored, -std::numeric_limits<double>::infinity()));
    const auto counted = of_slices((~ignored).to(type)).expand_as(largest);
    const auto odds = largest.masked_fill(counted == 0, 0);  // slices that are ignored as a whole
    const auto present = of_slices(region_targets(regions, classes, type));
    const auto cost = torch::binary_cross_entropy_with_logits(
        odds, present, counted, torch::full({1}, settings_.positive_weight, odds.options()),
        at::Reduction::Sum);
    return cost / counted.sum().clamp_min(1);
  }

 private:
  SlicePresenceSettings settings_;
  std::vector<std::vector<int64_t>> regions_;
};

}  // namespace

const LossEntry slice_presence_entry{
    "slice_presence",
    "binary cross-entropy of whether each slice holds each class or region, for weak labels (TranSamba)",
    [](const Json& settings, const LossData& data) -> std::unique_ptr<Loss> {
      return std::make_unique<SlicePresence>(from_json<SlicePresenceSettings>(settings, "loss"), data);
    },
    [] { return to_json(SlicePresenceSettings{}); },
    [] { return documentation<SlicePresenceSettings>("loss"); },
    true};

}  // namespace mambaseg
