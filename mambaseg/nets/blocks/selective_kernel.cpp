#include "mambaseg/nets/blocks/selective_kernel.h"

#include <algorithm>

namespace mambaseg {
namespace {

std::shared_ptr<BatchNorm> norm(int64_t channels) { return std::make_shared<BatchNorm>(channels); }
std::shared_ptr<Convolution> pointwise(int64_t in, int64_t out) {
  return conv(2, in, out, 1, {.bias = false});
}

}  // namespace

torch::Tensor selected(const std::vector<torch::Tensor>& branches,
                       const std::vector<torch::Tensor>& weights) {
  const torch::Tensor shares = torch::stack(weights).softmax(0);
  torch::Tensor sum;
  for (size_t i = 0; i < branches.size(); ++i) {
    const torch::Tensor share = shares[static_cast<int64_t>(i)].unsqueeze(-1).unsqueeze(-1);
    sum = i == 0 ? branches[i] * share : sum + branches[i] * share;
  }
  return sum;
}

SelectiveKernel::SelectiveKernel(const SelectiveKernelSettings& s) {
  const int64_t C = s.channels, between = std::max(C / s.reduction, s.least);
  for (int64_t i = 1; i <= s.branches; ++i)
    convs_.push_back(
        sequence({conv(2, C, C, s.edge, {.dilation = cube(2, i), .groups = s.groups, .bias = false}), norm(C),
                  relu()}));
  register_list(*this, "convs", convs_);
  narrow_ = register_module("fc", sequence({pointwise(C, between), norm(between), relu()}));
  for (int64_t i = 0; i < s.branches; ++i) choices_.push_back(conv(2, between, C, 1));
  register_list(*this, "fcs", choices_);
}

torch::Tensor SelectiveKernel::forward(const torch::Tensor& x) {
  std::vector<torch::Tensor> branches, weights;
  torch::Tensor sum;
  for (const auto& branch : convs_) {
    branches.push_back(branch->forward(x));
    sum = sum.defined() ? sum + branches.back() : branches.back();
  }
  const torch::Tensor means = narrow_->forward(sum.mean({2, 3}, true));
  for (const auto& choice : choices_) weights.push_back(choice->forward(means).flatten(1));
  return selected(branches, weights);
}

SelectiveKernelUnit::SelectiveKernelUnit(const SelectiveKernelSettings& s)
    : conv1_(
          register_module("conv1", sequence({pointwise(s.channels, s.channels), norm(s.channels), relu()}))),
      conv3_(sequence({pointwise(s.channels, s.channels), norm(s.channels)})),
      kernel_(register_module("conv2_sk", std::make_shared<SelectiveKernel>(s))) {
  register_module("conv3", conv3_);
}

torch::Tensor SelectiveKernelUnit::forward(const torch::Tensor& x) {
  return torch::relu(conv3_->forward(kernel_->forward(conv1_->forward(x))) + x);
}

}  // namespace mambaseg
