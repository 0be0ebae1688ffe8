#pragma once

#include <torch/types.h>

#include "mambaseg/ops/epilogue.h"

namespace mambaseg {

/// value * act(gate), of one size; where `value` is undefined, act(gate). fp32 and bf16 on the CPU in one
/// pass (a bf16 gate of an fp32 value, too), the rest by LibTorch; types as in a product. Differentiable:
/// what is kept are the two operands, and the gate may be rows of a wider tensor.
torch::Tensor gated(const torch::Tensor& value, const torch::Tensor& gate, Activation activation);

/// y becomes act(y) where it lies. Without gradient.
void activate_in_place(torch::Tensor& y, Activation activation);

/// The gradient of `gate` in gated(value, gate, activation) where that of the result is dy. In the type of
/// the gate.
torch::Tensor gate_gradient(const torch::Tensor& dy, const torch::Tensor& value, const torch::Tensor& gate,
                            Activation activation);

}  // namespace mambaseg
