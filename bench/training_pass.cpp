#include "bench/training_pass.h"

#include "mambaseg/ops/autocast.h"

namespace mambaseg {

void training_pass(Network& network, const torch::Tensor& patch, const std::string& precision,
                   const std::function<void()>& before_backward) {
  for (const torch::Tensor& parameter : network.parameters()) parameter.mutable_grad().reset();
  std::vector<torch::Tensor> outputs;
  {
    const Autocast autocast(precision, patch.device());
    outputs = network.forward(patch);
  }
  torch::Tensor loss = torch::zeros({}, patch.options());
  for (const torch::Tensor& scores : outputs) loss = loss + scores.to(torch::kFloat32).square().mean();
  before_backward();
  loss.backward();
}

}  // namespace mambaseg
