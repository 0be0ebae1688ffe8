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

torch::Tensor dice_loss(const torch::Tensor& scores, const torch::Tensor& classes,
                        const DiceSettings& settings) {
  require_softmax(scores);
  const auto p_BKV = torch::softmax(scores, 1).flatten(2);
  const auto y_BKV = torch::zeros_like(p_BKV).scatter_(1, classes.flatten(1).unsqueeze(1), 1);
  auto overlap_BK = (p_BKV * y_BKV).sum(-1);
  auto predicted_BK = p_BKV.sum(-1);
  auto labelled_BK = y_BKV.sum(-1);
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

const LossEntry dice_entry{"dice", "soft Dice, mean over classes",
                           [](const Json& settings, const LossData&) -> std::unique_ptr<Loss> {
                             return std::make_unique<Dice>(from_json<DiceSettings>(settings, "loss"));
                           },
                           [] { return to_json(DiceSettings{}); },
                           [] { return documentation<DiceSettings>("loss"); }};

}  // namespace mambaseg
