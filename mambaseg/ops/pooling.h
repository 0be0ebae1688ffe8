#pragma once

#include <torch/types.h>

namespace mambaseg {

/// The largest of each 2 x 2 (x 2) voxels: x (B, C, spatial...) -> (B, C, spatial / 2...), odd rests dropped.
/// Differentiable. fp32 and bf16 on the CPU lie channels-last afterwards.
torch::Tensor halved_by_max(const torch::Tensor& x);

/// The mean of each channel: x (B, C, spatial...) -> (B, C). Its gradient lies channels-last, as what it is
/// added to does.
torch::Tensor spatial_mean(const torch::Tensor& x);

/// Mean and maximum over the channels: x (B, C, spatial...) -> (B, 2, spatial...). Differentiable; channels
/// of one maximum share its gradient.
torch::Tensor channel_mean_and_max(const torch::Tensor& x);

}  // namespace mambaseg
