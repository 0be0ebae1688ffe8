#pragma once

#include <utility>
#include <vector>

#include <torch/types.h>

#include "mambaseg/kernels/depthwise_conv.h"

// What the depthwise convolution's autograd function, its CPU part and its CUDA part share; not for others.

namespace mambaseg {

/// y from x, both (B, ...) in the layout of `conv` and of one type: double, float or bfloat16. weight (C,
/// taps) and bias (C, or undefined) are double with double, else float.
void depthwise_forward_cpu(const DepthwiseConv& conv, const torch::Tensor& x, const torch::Tensor& weight,
                           const torch::Tensor& bias, bool flipped, const torch::Tensor& y);
/// The same for float and bfloat16. Throws c10::Error in a build without CUDA kernels.
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
