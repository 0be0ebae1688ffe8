#pragma once

#include <string>
#include <utility>
#include <vector>

#include <torch/types.h>

#include "mambaseg/kernels/depthwise_conv.h"
#include "mambaseg/kernels/selective_scan_cuda.h"

// What the depthwise convolution's autograd function and its implementations share; not for others.

namespace mambaseg {

/// How the weights meet the input.
struct DepthwiseGeometry {
  std::vector<int64_t> front, back;  ///< zeros in front of and behind each spatial axis
  bool channels_last = false;
  torch::Tensor order_L;  ///< or undefined
};

/// What the choice of an implementation depends on. It is made for each pass by itself.
struct DepthwiseCall {
  torch::Device device = torch::kCPU;
  torch::ScalarType type = torch::kFloat;  ///< of x
  bool cuda_kernels = cuda_kernels_built();
  std::vector<int64_t> kernel = {};  ///< taps along each spatial axis
  bool channels_last = false;
  bool backward = false;  ///< the gradients
};

struct DepthwiseGradients {
  torch::Tensor x, weight, bias;  ///< in the types of x and weight; bias undefined where not asked for
};

/// x is double, float or bfloat16, its positions evenly laid out; weight (C, 1, taps...) and bias (C, or
/// undefined) are contiguous, double with double, else float.
struct DepthwiseImplementation {
  const char* name;
  std::string (*why_not)(const DepthwiseCall& call);
  torch::Tensor (*forward)(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                           const DepthwiseGeometry& geometry);
  DepthwiseGradients (*backward)(const torch::Tensor& x, const torch::Tensor& weight, bool with_bias,
                                 const DepthwiseGeometry& geometry, const torch::Tensor& grad_y);
};

/// In the order in which they are asked (implementation.h).
extern const DepthwiseImplementation kDepthwiseImplementations[4];

/// y from x, both (B, ...) in the layout of `conv` and of one type: double, float or bfloat16. weight (C,
/// taps) and bias (C, or undefined) are double with double, else float.
void depthwise_forward_cpu(const DepthwiseConv& conv, const torch::Tensor& x, const torch::Tensor& weight,
                           const torch::Tensor& bias, bool flipped, const torch::Tensor& y);
/// The same for float and bfloat16, where CUDA kernels were built.
void depthwise_forward_cuda(const DepthwiseConv& conv, const torch::Tensor& x, const torch::Tensor& weight,
                            const torch::Tensor& bias, bool flipped, const torch::Tensor& y);

/// The gradients of the weight (C, taps) and, when `with_bias`, of the bias (C).
std::pair<torch::Tensor, torch::Tensor> depthwise_weight_gradient_cpu(const DepthwiseConv& conv,
                                                                      const torch::Tensor& x,
                                                                      const torch::Tensor& grad_y,
                                                                      int64_t channels, bool with_bias);
std::pair<torch::Tensor, torch::Tensor> depthwise_weight_gradient_cuda(const DepthwiseConv& conv,
                                                                       const torch::Tensor& x,
                                                                       const torch::Tensor& grad_y,
                                                                       int64_t channels, bool with_bias);

}  // namespace mambaseg
