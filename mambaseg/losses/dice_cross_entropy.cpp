#include "mambaseg/losses/dice_cross_entropy.h"

#include "mambaseg/losses/cross_entropy.h"
#include "mambaseg/losses/dice.h"

namespace mambaseg {
namespace {

/// dice_weight * Dice + cross_entropy_weight * cross-entropy. MedSegMamba's paper uses both in the first
/// epoch and Dice alone after it (cross_entropy_epochs = 1).
struct Settings {
  double dice_weight = 1;
  double cross_entropy_weight = 1;
  int64_t cross_entropy_epochs = 0;
  DiceSettings dice;
  CrossEntropySettings cross_entropy;
  void describe(SettingsVisitor& visit) {
    visit("dice_weight", dice_weight, "factor of the Dice part", at_least(0));
    visit("cross_entropy_weight", cross_entropy_weight, "factor of the cross-entropy part", at_least(0));
    visit("cross_entropy_epochs", cross_entropy_epochs,
          "the cross-entropy part is used in this many first epochs; 0 means always", at_least(0));
    visit("dice", dice, "the Dice part");
    visit("cross_entropy", cross_entropy, "the cross-entropy part");
  }
};

class DiceCrossEntropy : public Loss {
 public:
  DiceCrossEntropy(const Settings& settings, const LossData& data)
      : settings_(settings), weights_K_(class_weights(settings.cross_entropy, data)) {}
  torch::Tensor operator()(const torch::Tensor& scores, const torch::Tensor& classes,
                           int64_t epoch) const override {
    const auto dice = settings_.dice_weight * dice_loss(scores, classes, settings_.dice);
    if (settings_.cross_entropy_epochs > 0 && epoch >= settings_.cross_entropy_epochs) return dice;
    return dice + settings_.cross_entropy_weight * weighted_cross_entropy(scores, classes, weights_K_);
  }

 private:
  Settings settings_;
  torch::Tensor weights_K_;
};

}  // namespace

const LossEntry dice_cross_entropy_entry{
    "dice_cross_entropy", "Dice plus cross-entropy, the latter optionally in the first epochs only",
    [](const Json& settings, const LossData& data) -> std::unique_ptr<Loss> {
      return std::make_unique<DiceCrossEntropy>(from_json<Settings>(settings, "loss"), data);
    },
    [] { return to_json(Settings{}); }, [] { return documentation<Settings>("loss"); }};

}  // namespace mambaseg
