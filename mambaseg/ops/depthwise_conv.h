#pragma once

#include <vector>

#include <torch/nn/modules/conv.h>
#include <torch/types.h>

#include "mambaseg/ops/epilogue.h"

namespace mambaseg {

/// How a depthwise convolution meets its input.
struct DepthwiseConvOptions {
  std::vector<int64_t> padding;  ///< zeros in front of and behind each spatial axis
  bool causal = false;         ///< one axis only: taps - 1 zeros in front, none behind; `padding` is not read
  bool channels_last = false;  ///< x and the result are (B, spatial..., C) instead of (B, C, spatial...)
  /// One axis and equal lengths only: int32 (L), the place along the axis that step k of the convolution
  /// meets, in x and in the result; undefined: k. No permuted copy is made.
  torch::Tensor order_L = {};
  /// Behind it; the backward pass convolves again for its gradient, so that x alone is kept.
  Activation activation = Activation::none;
};

/// Depthwise convolution of stride 1 in one, two or three spatial axes:
/// y[b, c, o] = act(bias[c] + sum over taps t of weight[c, t] * x[b, c, o + t - padding]), x being 0 outside.
/// x (B, C, spatial...) or (B, spatial..., C); weight (C, 1, taps...), as torch::nn::Conv1d to Conv3d hold
/// it; bias (C) or undefined. Differentiable in all three. x is read and the result written in fp32, bf16 or
/// fp64, other types by way of fp32; sums are fp32 (fp64). Throws c10::Error on shapes that do not fit. Same
/// bits for the same number of threads.
torch::Tensor depthwise_conv(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                             const DepthwiseConvOptions& options);

}  // namespace mambaseg
