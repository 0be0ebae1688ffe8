// Weak-Mamba-UNet's losses on scribbles, alone and behind its three networks.

#include "mambaseg/losses/cross_entropy.h"
#include "mambaseg/losses/cross_pseudo_supervision.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/nets/model/weights.h"
#include "tests/golden_check/golden_case.h"

namespace mambaseg {
namespace {

constexpr int64_t kUnlabelled = 4;  // there

torch::Tensor classes_of(const GoldenCase& g) {
  const torch::Tensor label = g.at("input.label").to(torch::kInt64);
  return label.masked_fill(label == kUnlabelled, kIgnoredClass);
}

/// The cross-entropies, the Dices and the sum of all, as the files have them.
torch::Tensor losses_of(const GoldenCase& g, const std::vector<torch::Tensor>& scores) {
  std::vector<double> mix;
  for (int64_t m = 0; m < g.at("input.mix").numel(); ++m) mix.push_back(g.at("input.mix")[m].item<double>());
  const auto members = member_losses(scores, classes_of(g), mix, CrossPseudoSupervisionSettings().dice);
  std::vector<torch::Tensor> values;
  for (const MemberLosses& one : members) values.push_back(one.cross_entropy);
  for (const MemberLosses& one : members) values.push_back(one.dice);
  values.push_back(torch::stack(values).sum());
  return torch::stack(values);
}

GoldenResult check_losses(const GoldenCase& g) {
  std::vector<torch::Tensor> scores;
  for (const char* name : {"input.a", "input.b", "input.c"})
    scores.push_back(g.at(name).clone().requires_grad_());
  const torch::Tensor y = losses_of(g, scores);
  (y * g.at("grad_output")).sum().backward();
  GoldenComparison comparison(g);
  comparison.output("y", y);
  for (size_t m = 0; m < scores.size(); ++m)
    comparison.gradient(concat("input.", "abc"[m]), scores[m].grad());
  return comparison.result();
}

/// The official mask (B, 1, ...) spreads over scores (B, ...): every image meets the mask of every other.
GoldenResult check_masked_dice(const GoldenCase& g) {
  const torch::Tensor scores = g.at("input.a").clone().requires_grad_(), classes = classes_of(g);
  const torch::Tensor p_BKV = torch::softmax(scores, 1).flatten(2);
  const int64_t batch = p_BKV.size(0);
  const torch::Tensor counted_BV = (classes != kIgnoredClass).flatten(1);
  const torch::Tensor dice =
      dice_loss_of(p_BKV.repeat({batch, 1, 1}),
                   one_hot_targets(classes, scores.size(1), p_BKV.scalar_type()).repeat({batch, 1, 1}),
                   counted_BV.repeat_interleave(batch, 0), CrossPseudoSupervisionSettings().dice);
  const torch::Tensor entropy = weighted_cross_entropy(scores, classes, {});
  const torch::Tensor y = torch::stack({entropy, dice, 0.5 * (entropy + dice)});
  (y * g.at("grad_output")).sum().backward();
  GoldenComparison comparison(g);
  comparison.output("y", y);
  comparison.gradient("input.a", scores.grad());
  return comparison.result();
}

std::string our_name(const std::string& official) {
  const std::string behind = official.substr(2);
  return official[0] == 'A'   ? "swin_unet." + behind
         : official[0] == 'B' ? "mamba_unet.mamba_unet." + behind
                              : "weakmamba_unet." + behind;
}

GoldenResult check_whole(const GoldenCase& g) {
  const auto network = make_network({{"name", "weak_mamba_unet"},
                                     {"classes", g.args.at("classes")},
                                     {"swin_unet",
                                      {{"edge", g.args.at("img")},
                                       {"width", g.args.at("swin_dim")},
                                       {"window", g.args.at("window")},
                                       {"heads", g.args.at("heads")}}},
                                     {"mamba_unet", {{"widths", g.args.at("dims")}}}});
  load_weights(*network, with_our_names(g.weights(), our_name));
  network->to(g.device);
  network->eval();
  network->give_all_scales();
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> scores = network->forward(g.on_device("input.x"));
  GoldenComparison comparison(g);
  for (size_t m = 0; m < scores.size(); ++m) {
    scores[m] = scores[m].cpu();
    comparison.output(concat("y", m), scores[m]);
  }
  comparison.output("y3", losses_of(g, scores));
  return comparison.result();
}

constexpr GoldenCheck kChecks[] = {
    {"CrossEntropyLoss(ignore_index=4) + DiceLoss", check_losses},
    {"pDLoss", check_masked_dice},
    {"SwinTransformerSys + VSSM + UNet + losses", check_whole, true},
};

}  // namespace

std::span<const GoldenCheck> weak_mamba_checks() { return kChecks; }

}  // namespace mambaseg
