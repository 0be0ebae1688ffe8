// nnU-Net's losses. Its Dice part is -Dice where ours is 1 - Dice: values differ by exactly 1, gradients do
// not.

#include "mambaseg/losses/deep_supervision.h"
#include "mambaseg/losses/dice.h"
#include "mambaseg/losses/dice_binary_cross_entropy.h"
#include "mambaseg/nets/model/network.h"
#include "tests/golden_check/golden_case.h"

namespace mambaseg {
namespace {

constexpr double kDiceOffset = 1;

/// Labels (B, 1, spatial...) as classes (B, spatial...), the ignored label as kIgnoredClass.
torch::Tensor classes_of(const GoldenCase& g, const std::string& name) {
  torch::Tensor classes = g.at("input." + name).squeeze(1).to(torch::kInt64);
  const int64_t ignored = argument<int64_t>(g.args, "ignore_label", kIgnoredClass);
  return classes.masked_fill(classes == ignored, kIgnoredClass);
}

Json dice_cross_entropy(bool batch_dice) {
  return {{"name", "dice_cross_entropy"},
          {"dice", {{"background", false}, {"present_only", false}, {"pool_batch", batch_dice}}}};
}

/// Compares the value and the gradient of `loss` for input.logits.
GoldenResult check_loss(const GoldenCase& g, const std::function<torch::Tensor(const torch::Tensor&)>& loss) {
  const torch::Tensor logits = g.at("input.logits").clone().requires_grad_();
  const torch::Tensor value = loss(logits) - kDiceOffset;
  (value * g.at("grad_output")).sum().backward();
  GoldenComparison comparison(g);
  comparison.output("loss", value.view({1}));
  comparison.gradient("input.logits", logits.grad());
  return comparison.result();
}

GoldenResult check_dice_cross_entropy(const GoldenCase& g) {
  const auto loss = make_loss(dice_cross_entropy(g.args.at("batch_dice")));
  return check_loss(g,
                    [&](const torch::Tensor& logits) { return (*loss)(logits, classes_of(g, "target"), 0); });
}

GoldenResult check_soft_dice(const GoldenCase& g) {
  DiceSettings dice;
  dice.epsilon = argument(g.args, "smooth", 1.0);
  dice.background = argument(g.args, "do_bg", true);
  dice.present_only = false;
  dice.pool_batch = argument(g.args, "batch_dice", false);
  return check_loss(
      g, [&](const torch::Tensor& logits) { return dice_loss(logits, classes_of(g, "target"), dice); });
}

GoldenResult check_dice_binary_cross_entropy(const GoldenCase& g) {
  DiceBinaryCrossEntropySettings settings;
  settings.dice.pool_batch = argument(g.args, "batch_dice", true);
  const int64_t regions = g.at("input.logits").size(1);
  const torch::Tensor target_BCV = g.at("input.target").flatten(2).to(torch::kFloat32);
  torch::Tensor counted_BV;  // the official target's last channel says what is ignored
  if (target_BCV.size(1) > regions) counted_BV = target_BCV.select(1, regions) == 0;
  return check_loss(g, [&](const torch::Tensor& logits) {
    return dice_binary_cross_entropy(logits.flatten(2), target_BCV.narrow(1, 0, regions), counted_BV,
                                     settings);
  });
}

GoldenResult check_deep_supervision(const GoldenCase& g) {
  GoldenComparison comparison(g);
  for (const auto& [key, expected] : g.tensors)
    if (key.rfind("output.weights", 0) == 0)
      comparison.output(key.substr(7),
                        torch::tensor(deep_supervision_weights(expected.numel()), torch::kFloat64));
  std::vector<torch::Tensor> logits, classes;
  for (int64_t i = 0; g.has(concat("input.logits", i)); ++i) {
    logits.push_back(g.at(concat("input.logits", i)));
    classes.push_back(classes_of(g, concat("target", i)));
  }
  const auto loss = make_loss(dice_cross_entropy(false));
  const auto weights = deep_supervision_weights(static_cast<int64_t>(logits.size()));
  comparison.output("loss", (deeply_supervised(*loss, logits, classes, weights, 0) - kDiceOffset).view({1}));
  return comparison.result();
}

constexpr GoldenCheck kChecks[] = {
    {"DC_and_CE_loss(MemoryEfficientSoftDiceLoss)", check_dice_cross_entropy},
    {"DC_and_BCE_loss", check_dice_binary_cross_entropy},
    {"SoftDiceLoss", check_soft_dice},
    {"DeepSupervisionWrapper + nnUNetTrainer._build_loss weights", check_deep_supervision},
};

}  // namespace

std::span<const GoldenCheck> nnunet_loss_checks() { return kChecks; }

}  // namespace mambaseg
