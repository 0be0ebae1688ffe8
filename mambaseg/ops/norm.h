#pragma once

#include <torch/types.h>

#include "mambaseg/ops/epilogue.h"

namespace mambaseg {

/// act(group norm of x, scaled and shifted in each channel, + residual); x (B, C, spatial...), weight and
/// bias (C). groups = C is the instance norm. The result lies as x does and has its type; statistics in fp32
/// with sums of sums in fp64. Differentiable.
torch::Tensor group_norm(const torch::Tensor& x, int64_t groups, const torch::Tensor& weight,
                         const torch::Tensor& bias, double eps, const Epilogue& epilogue = {});

/// What a batch norm keeps of the batches it has seen.
struct RunningStatistics {
  torch::Tensor mean, var;  ///< (C), changed in place
  double momentum = 0.1;    ///< share of the batch at hand
};

/// act(x, normed in each channel over batch and space, scaled and shifted, + residual): batch norm in
/// training. Types, layout and gradients as group_norm.
torch::Tensor batch_norm(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                         RunningStatistics running, double eps, const Epilogue& epilogue = {});

/// Norm of the last axis, scaled and shifted: x (..., C), weight and bias (C) or undefined. Result in the
/// type of x. Differentiable.
torch::Tensor layer_norm(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                         double eps);

}  // namespace mambaseg
