#include "mambaseg/train/gradients.h"

#include <algorithm>

#include <ATen/Functions.h>
#include <torch/version.h>

namespace mambaseg {

std::vector<torch::Tensor> gradients_of(const torch::nn::Module& module) {
  std::vector<torch::Tensor> gradients;
  for (const auto& parameter : module.parameters())
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  return gradients;
}

double gradient_norm(const std::vector<torch::Tensor>& gradients) {
  if (gradients.empty()) return 0;
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  const std::vector<torch::Tensor> norms = at::_foreach_norm(gradients, 2, torch::kDouble);
#else  // lists have no norm in double
  std::vector<torch::Tensor> norms;
  for (const torch::Tensor& gradient : gradients) norms.push_back(gradient.norm(2, torch::kDouble));
#endif
  return torch::stack(norms).norm().item<double>();
}

void unscale_and_clip(const std::vector<torch::Tensor>& gradients, double norm, double loss_scale,
                      double clip_norm) {
  double factor = 1 / loss_scale;
  if (clip_norm > 0) factor *= std::min(1.0, clip_norm / (norm / loss_scale + 1e-6));
  if (factor != 1 && !gradients.empty()) at::_foreach_mul_(gradients, factor);
}

}  // namespace mambaseg
