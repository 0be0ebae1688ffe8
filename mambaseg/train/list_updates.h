#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/sgd.h>
#include <torch/types.h>

namespace mambaseg {

/// What LibTorch's optimisers keep for each parameter, under a key that depends on its version.
using OptimizerStates = std::decay_t<decltype(std::declval<torch::optim::Optimizer&>().state())>;

/// The key: the address of the parameter, in LibTorch 1.13 as text.
OptimizerStates::key_type state_key(const torch::Tensor& parameter);

/// A step of LibTorch's optimiser of these options over `parameters`, of which those without a gradient stay
/// as they are: the same formulas in the same order, but each operation over the whole list, which on a GPU
/// launches some tens of kernels instead of ten for each parameter. From LibTorch 2.4 on a GPU does all of
/// the formula in one kernel, that of torch.optim's fused=True; elsewhere the bits are those of LibTorch's
/// optimiser.
void update(const std::vector<torch::Tensor>& parameters, const torch::optim::AdamWOptions& options,
            OptimizerStates& states);
void update(const std::vector<torch::Tensor>& parameters, const torch::optim::AdamOptions& options,
            OptimizerStates& states);
void update(const std::vector<torch::Tensor>& parameters, const torch::optim::SGDOptions& options,
            OptimizerStates& states);

}  // namespace mambaseg
