#include "mambaseg/losses/dice.h"

namespace mambaseg {
namespace {

class Dice : public Loss {
 public:
  explicit Dice(const DiceSettings& settings) : settings_(settings) {}
  torch::Tensor operator()(const torch::Tensor& scores, const torch::Tensor& classes,
                           int64_t) const override {
    return dice_loss(scores, classes, settings_);
  }

 private:
  DiceSettings settings_;
};

}  // namespace

torch::Tensor counted_voxels(const torch::Tensor& classes) {
  const auto counted_BV = classes.flatten(1) != kIgnoredClass;
  return counted_BV.all().item<bool>() ? torch::Tensor() : counted_BV;
}

torch::Tensor one_hot_targets(const torch::Tensor& classes, int64_t class_count, torch::ScalarType type) {
  const auto y_B1V = classes.flatten(1).unsqueeze(1);
  auto targets_BKV = torch::zeros({y_B1V.size(0), class_count, y_B1V.size(2)}, classes.options().dtype(type));
  return targets_BKV.scatter_(1, y_B1V.masked_fill(y_B1V == kIgnoredClass, 0),
                              (y_B1V != kIgnoredClass).to(type));
}

torch::Tensor dice_loss_of(const torch::Tensor& p_BKV, const torch::Tensor& y_BKV,
                           const torch::Tensor& counted_BV, const DiceSettings& settings) {
  const auto sum = [&](const torch::Tensor& values_BKV) {
    return (counted_BV.defined() ? values_BKV * counted_BV.unsqueeze(1) : values_BKV).sum(-1);
  };
  auto overlap_BK = sum(p_BKV * y_BKV);
  auto predicted_BK = sum(settings.squared ? p_BKV.square() : p_BKV);
  auto labelled_BK = sum(y_BKV);  // 0 or 1, so their own squares
  if (settings.pool_batch) {
    overlap_BK = overlap_BK.sum(0, true);
    predicted_BK = predicted_BK.sum(0, true);
    labelled_BK = labelled_BK.sum(0, true);
  }
  const auto loss_BK =
      1 - (2 * overlap_BK + settings.epsilon) / (predicted_BK + labelled_BK + settings.epsilon);
  auto counted_BK = settings.present_only ? (labelled_BK > 0).to(loss_BK.dtype()) : torch::ones_like(loss_BK);
  if (!settings.background) counted_BK.select(1, 0).zero_();
  // No class counts when the labels are empty and the background is left out: the loss is then 0, not 0 / 0.
  return (loss_BK * counted_BK).sum() / counted_BK.sum().clamp_min(1);
}

torch::Tensor dice_loss(const torch::Tensor& scores, const torch::Tensor& classes,
                        const DiceSettings& settings) {
  require_softmax(scores);
  const auto p_BKV = torch::softmax(scores, 1).flatten(2);
  return dice_loss_of(p_BKV, one_hot_targets(classes, scores.size(1), p_BKV.scalar_type()),
                      counted_voxels(classes), settings);
}

const LossEntry dice_entry{"dice", "soft Dice, mean over classes",
                           [](const Json& settings, const LossData&) -> std::unique_ptr<Loss> {
                             return std::make_unique<Dice>(from_json<DiceSettings>(settings, "loss"));
                           },
                           [] { return to_json(DiceSettings{}); },
                           [] { return documentation<DiceSettings>("loss"); }};

}  // namespace mambaseg
