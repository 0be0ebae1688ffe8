#pragma once

#include <torch/types.h>

namespace mambaseg {

enum class Activation { none, relu, leaky_relu, gelu, silu, sigmoid };

/// Slope of leaky_relu for negative numbers: nnU-Net's, the only one in use.
constexpr double kLeakySlope = 0.01;

/// act(x), differentiable. gelu is the exact one (erf).
torch::Tensor activate(const torch::Tensor& x, Activation activation);

/// What follows an operation and is done where its result is computed: act(y + residual).
struct Epilogue {
  Activation activation = Activation::none;
  torch::Tensor residual;  ///< sizes of the result, or undefined
};

/// The same on a finished result; `y` may be overwritten when no gradient is needed.
torch::Tensor finish(torch::Tensor y, const Epilogue& epilogue);

}  // namespace mambaseg
