#pragma once

#include <functional>
#include <vector>

#include <torch/types.h>

namespace mambaseg {

using Computation = std::function<torch::Tensor(const std::vector<torch::Tensor>& inputs)>;

/// compute(inputs), of which nothing between is kept: the backward pass computes it a second time (gradient
/// checkpointing: Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost) with the random numbers,
/// the autocast and the operators of the first, so that result and gradients are bit for bit those without
/// it. `parameters` are all leaves besides the inputs that `compute` reads; what it calls must live until
/// then.
torch::Tensor recomputed(const Computation& compute, const std::vector<torch::Tensor>& inputs,
                         const std::vector<torch::Tensor>& parameters);

/// Whether this thread computes something for the second time: running statistics have seen it.
bool is_recomputing();

}  // namespace mambaseg
