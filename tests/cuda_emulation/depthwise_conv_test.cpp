// The CUDA kernels of the depthwise convolution on the CPU by emulation.

#include <gtest/gtest.h>

#include "mambaseg/ops/depthwise_conv_parts.h"

namespace mambaseg {
namespace {

using torch::Tensor;

const DepthwiseImplementation &kCuda = kDepthwiseImplementations[0], &kCpu = kDepthwiseImplementations[2];

/// y and the gradients of x, weight and bias.
std::vector<Tensor> all_of(const DepthwiseImplementation& by, const Tensor& x, const Tensor& weight,
                           const Tensor& bias, const DepthwiseGeometry& geometry) {
  const Tensor y = by.forward(x, weight, bias, geometry);
  const Tensor grad_y = torch::cos(torch::arange(y.numel(), torch::kDouble)).view(y.sizes());
  const DepthwiseGradients g =
      by.backward(x, weight, true, geometry, grad_y.to(torch::kFloat).to(y.scalar_type()));
  return {y, g.x, g.weight, g.bias};
}

/// Against the specification in double.
void expect_specification(const std::vector<int64_t>& spatial, const std::vector<int64_t>& kernel,
                          const std::vector<int64_t>& padding, bool channels_last, const Tensor& order = {}) {
  torch::manual_seed(2);
  const int64_t channels = 2;
  std::vector<int64_t> sizes{2, channels}, taps{channels, 1};
  sizes.insert(sizes.end(), spatial.begin(), spatial.end());
  taps.insert(taps.end(), kernel.begin(), kernel.end());
  const Tensor first = torch::randn(sizes), weight = torch::randn(taps), bias = torch::randn({channels});
  const Tensor x = channels_last ? first.movedim(1, -1).contiguous() : first;
  const DepthwiseGeometry geometry{padding, padding, channels_last, order};
  const std::vector<Tensor> found = all_of(kCuda, x, weight, bias, geometry),
                            expected = all_of(kCpu, x.to(torch::kDouble), weight.to(torch::kDouble),
                                              bias.to(torch::kDouble), geometry);
  for (size_t i = 0; i < found.size(); ++i) {
    const double error = (found[i].to(torch::kDouble) - expected[i]).abs().max().item<double>();
    EXPECT_LT(error, 5e-6 * expected[i].abs().max().item<double>()) << i << " " << kernel << channels_last;
  }
}

TEST(CudaDepthwiseConv, GivesTheSpecificationInBothLayouts) {
  for (const bool channels_last : {false, true}) {
    expect_specification({7, 9}, {2, 3}, {1, 1}, channels_last);
    expect_specification({3, 4, 10}, {2, 1, 3}, {1, 0, 1}, channels_last);
  }
  expect_specification({9}, {3}, {1}, true, torch::randperm(9).to(torch::kInt32));
}

}  // namespace
}  // namespace mambaseg
