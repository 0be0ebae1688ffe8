#include "mambaseg/losses/dice_bce_boundary.h"

#include <torch/nn/functional.h>
#include <torch/nn/functional/loss.h>

namespace mambaseg {
namespace {

class DiceBceBoundary : public Loss {
 public:
  explicit DiceBceBoundary(const DiceBceBoundarySettings& settings) : settings_(settings) {}

  torch::Tensor operator()(const torch::Tensor& scores, const torch::Tensor& classes,
                           int64_t) const override {
    const auto odds = foreground_log_odds(scores);
    std::vector<torch::Tensor> is_class;
    for (int64_t k = 1; k <= odds.size(1); ++k) is_class.push_back(classes == k);
    const auto y = torch::stack(is_class, 1).to(odds.scalar_type());
    const auto bce = torch::nn::functional::binary_cross_entropy_with_logits(
        odds, y, torch::nn::functional::BinaryCrossEntropyWithLogitsFuncOptions().reduction(torch::kNone));
    auto loss = settings_.dice_weight * dice(odds, y) + settings_.bce_weight * bce.mean();
    if (settings_.boundary_weight > 0) loss = loss + settings_.boundary_weight * boundary(bce, y);
    return loss;
  }

 private:
  torch::Tensor dice(const torch::Tensor& odds, const torch::Tensor& y) const {
    const auto p_BKV = torch::sigmoid(odds).flatten(2), y_BKV = y.flatten(2);
    const auto overlap_BK = (p_BKV * y_BKV).sum(-1), sizes_BK = p_BKV.sum(-1) + y_BKV.sum(-1);
    return (1 - (2 * overlap_BK + settings_.epsilon) / (sizes_BK + settings_.epsilon)).mean();
  }

  torch::Tensor boundary(const torch::Tensor& bce, const torch::Tensor& y) const {
    const auto inner = settings_.band == "gradient" ? 1 - dilated(1 - y, settings_.radius) : y;
    const auto band = dilated(y, settings_.radius) - inner;  // labels carry no gradient
    if (settings_.form == "weighted") return ((1 + settings_.band_weight * band) * bce).mean();
    return (band * bce).sum() / band.sum().clamp_min(1);
  }

  DiceBceBoundarySettings settings_;
};

}  // namespace

torch::Tensor foreground_log_odds(const torch::Tensor& scores) {
  const int64_t classes = scores.size(1);
  if (classes == 1) return scores;
  std::vector<torch::Tensor> odds;
  for (int64_t k = 1; k < classes; ++k) {
    const auto others = torch::cat({scores.narrow(1, 0, k), scores.narrow(1, k + 1, classes - k - 1)}, 1);
    odds.push_back(scores.narrow(1, k, 1) - torch::logsumexp(others, 1, true));
  }
  return torch::cat(odds, 1);
}

torch::Tensor dilated(const torch::Tensor& x, int64_t radius) {
  auto out = x;
  for (int64_t axis = 2; axis < x.dim(); ++axis) {  // a square is a row along one axis after the other
    const auto last = out.transpose(axis, -1).contiguous();
    const auto rows = last.view({1, -1, last.size(-1)});
    out = torch::max_pool1d(rows, 2 * radius + 1, 1, radius).view(last.sizes()).transpose(axis, -1);
  }
  return out;
}

const LossEntry dice_bce_boundary_entry{
    "dice_bce_boundary",
    "Dice plus binary cross-entropy plus binary cross-entropy near borders (HyM-UNet)",
    [](const Json& settings, const LossData&) -> std::unique_ptr<Loss> {
      return std::make_unique<DiceBceBoundary>(from_json<DiceBceBoundarySettings>(settings, "loss"));
    },
    [] { return to_json(DiceBceBoundarySettings{}); },
    [] { return documentation<DiceBceBoundarySettings>("loss"); },
    false,
    false};

}  // namespace mambaseg
