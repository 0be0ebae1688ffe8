#include "mambaseg/losses/cross_entropy.h"

#include <algorithm>

namespace mambaseg {
namespace {

class CrossEntropy : public Loss {
 public:
  CrossEntropy(const CrossEntropySettings& settings, const LossData& data)
      : weights_K_(class_weights(settings, data)) {}
  torch::Tensor operator()(const torch::Tensor& scores, const torch::Tensor& classes,
                           int64_t) const override {
    return weighted_cross_entropy(scores, classes, weights_K_);
  }

 private:
  torch::Tensor weights_K_;
};

}  // namespace

std::vector<double> median_frequency_weights(const std::vector<double>& class_voxels) {
  std::vector<double> present;
  for (const double count : class_voxels)
    if (count > 0) present.push_back(count);
  require(!present.empty(), "loss: median_frequency weights need labels, but no class has a voxel");
  std::sort(present.begin(), present.end());
  const size_t half = present.size() / 2;
  const double median = present.size() % 2 ? present[half] : (present[half - 1] + present[half]) / 2;
  std::vector<double> weights;
  for (const double count : class_voxels) weights.push_back(count > 0 ? median / count : 0);
  return weights;
}

torch::Tensor class_weights(const CrossEntropySettings& settings, const LossData& data) {
  if (settings.weighting == "none") return {};
  std::vector<double> weights = settings.weights;
  if (settings.weighting == "median_frequency") {
    if (data.class_voxels.empty())
      throw UsageError("loss: median_frequency needs the class counts of training cases");
    weights = median_frequency_weights(data.class_voxels);
  } else if (weights.empty()) {
    throw UsageError("loss: weighting = \"given\" needs the list `weights`, one number a class");
  }
  return torch::tensor(weights, torch::kFloat64);
}

torch::Tensor weighted_cross_entropy(const torch::Tensor& scores, const torch::Tensor& classes,
                                     const torch::Tensor& weights_K) {
  require_softmax(scores);
  const auto log_p_BKV = torch::log_softmax(scores, 1).flatten(2);
  const auto ignored_BV = classes.flatten(1) == kIgnoredClass;
  const auto y_BV = classes.flatten(1).masked_fill(ignored_BV, 0);
  const auto cost_BV = -log_p_BKV.gather(1, y_BV.unsqueeze(1)).squeeze(1);
  const auto counted_BV = ignored_BV.logical_not().to(cost_BV.scalar_type());
  if (!weights_K.defined()) return (cost_BV * counted_BV).sum() / counted_BV.sum().clamp_min(1);
  if (weights_K.numel() != scores.size(1))
    throw UsageError(concat("loss: ", weights_K.numel(), " class weights, but the network has ",
                            scores.size(1), " classes (background included)"));
  const auto w_BV =
      weights_K.to(scores.device(), scores.scalar_type()).index_select(0, y_BV.flatten()).view_as(y_BV) *
      counted_BV;
  return (cost_BV * w_BV).sum() / w_BV.sum().clamp_min(1e-12);
}

const LossEntry cross_entropy_entry{"cross_entropy", "cross-entropy, optionally with class weights",
                                    [](const Json& settings, const LossData& data) -> std::unique_ptr<Loss> {
                                      return std::make_unique<CrossEntropy>(
                                          from_json<CrossEntropySettings>(settings, "loss"), data);
                                    },
                                    [] { return to_json(CrossEntropySettings{}); },
                                    [] { return documentation<CrossEntropySettings>("loss"); }};

}  // namespace mambaseg
