#pragma once

#include <torch/types.h>

namespace mambaseg {

/// The largest of each 2 x 2 (x 2) voxels: x (B, C, spatial...) -> (B, C, spatial / 2...), odd rests dropped.
/// Differentiable. fp32 and bf16 on the CPU lie channels-last afterwards.
torch::Tensor halved_by_max(const torch::Tensor& x);

}  // namespace mambaseg
