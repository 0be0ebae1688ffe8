#include "tests/golden_check/module_check.h"

#include <regex>

#include "mambaseg/nets/weights.h"

namespace mambaseg {
namespace {

/// "x = x_u8 tiled 3x along each spatial axis": 3; 1 when the note does not speak of tiles.
int64_t tiles(const GoldenCase& golden) {
  const auto note = golden.metadata.find("note");
  std::smatch match;
  if (note == golden.metadata.end() || !std::regex_search(note->second, match, std::regex("tiled (\\d+)x")))
    return 1;
  return std::stoll(match[1]);
}

}  // namespace

torch::Tensor golden_input(const GoldenCase& golden, const std::string& name) {
  if (golden.has("input." + name)) return golden.at("input." + name);
  const torch::Tensor bytes = golden.at("input." + name + "_u8");
  std::vector<int64_t> repeats(static_cast<size_t>(bytes.dim()), tiles(golden));
  repeats[0] = repeats[1] = 1;
  return bytes.repeat(repeats).to(torch::kFloat) / 255;
}

GoldenResult check_module(const GoldenCase& golden, torch::nn::Module& module,
                          const std::function<torch::Tensor(const torch::Tensor&)>& forward) {
  load_weights(module, golden.weights());
  module.eval();
  const bool gradients = golden.has("grad_output");
  const torch::Tensor x = golden_input(golden, "x").clone().requires_grad_(gradients);
  torch::AutoGradMode mode(gradients);
  const torch::Tensor y = forward(x);
  GoldenComparison comparison(golden);
  comparison.output("y", y);
  if (gradients) {
    (y * golden.at("grad_output")).sum().backward();
    comparison.gradient("input.x", x.grad());
    for (const auto& parameter : module.named_parameters())
      comparison.gradient("weights." + parameter.key(), parameter.value().grad());
  }
  return comparison.result();
}

}  // namespace mambaseg
