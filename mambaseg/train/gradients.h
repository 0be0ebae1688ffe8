#pragma once

#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

namespace mambaseg {

/// The gradients that the parameters of `module` have; not copies.
std::vector<torch::Tensor> gradients_of(const torch::nn::Module& module);

/// Square root of the sum of squares of all gradients, in double; NaN or infinite when one of them is, 0 of
/// none. A GPU is waited for once.
double gradient_norm(const std::vector<torch::Tensor>& gradients);

/// Takes the gradients of a loss times `loss_scale`, whose norm is `norm`, to those of the loss, and where
/// the norm of those is above `clip_norm` (0: any is good) to that norm (Pascanu et al. 2013, algorithm 1).
void unscale_and_clip(const std::vector<torch::Tensor>& gradients, double norm, double loss_scale,
                      double clip_norm);

}  // namespace mambaseg
