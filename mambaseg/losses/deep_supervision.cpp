#include "mambaseg/losses/deep_supervision.h"

#include <cmath>

#include <torch/nn/functional.h>
#include <torch/nn/functional/upsampling.h>

namespace mambaseg {
namespace {

/// The class map at the size of a coarser output, nearest neighbour.
torch::Tensor shrunk(const torch::Tensor& classes, const torch::Tensor& like) {
  if (classes.sizes().slice(1) == like.sizes().slice(2)) return classes;
  const auto size = like.sizes().slice(2).vec();
  return torch::nn::functional::interpolate(
             classes.unsqueeze(1).to(torch::kFloat32),
             torch::nn::functional::InterpolateFuncOptions().size(size).mode(torch::kNearest))
      .squeeze(1)
      .to(torch::kInt64);
}

}  // namespace

std::vector<double> deep_supervision_weights(int64_t outputs) {
  if (outputs == 1) return {1};
  std::vector<double> weights(static_cast<size_t>(outputs), 0);
  const double sum = 2 - std::ldexp(1, static_cast<int>(2 - outputs));  // 1 + 1/2 + ... without the coarsest
  for (size_t i = 0; i + 1 < weights.size(); ++i) weights[i] = std::ldexp(1, -static_cast<int>(i)) / sum;
  return weights;
}

torch::Tensor deeply_supervised(const Loss& loss, const std::vector<torch::Tensor>& scores,
                                const std::vector<torch::Tensor>& classes, const std::vector<double>& weights,
                                int64_t epoch) {
  if (weights.size() < scores.size())
    throw UsageError(concat("deep supervision: ", weights.size(), " weights for ", scores.size(),
                            " outputs of the network"));
  torch::Tensor sum;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (weights[i] == 0) continue;
    const torch::Tensor& own = classes.size() == 1 ? classes[0] : classes.at(i);
    const auto part = loss(scores[i], shrunk(own, scores[i]), epoch) * weights[i];
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

}  // namespace mambaseg
