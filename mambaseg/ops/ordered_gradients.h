#pragma once

#include <torch/types.h>

namespace mambaseg {

// What LibTorch computes on a GPU with a gradient that adds in any order, and so refuses under
// compute_deterministically, made of operations that have an order. Slower; the same numbers but for
// rounding.

/// Whether these have to stand in for LibTorch's.
bool needs_ordered_gradients(const torch::Tensor& x);

/// upsample_bilinear2d and upsample_trilinear3d of x (B, C, spatial...) to `size`, one axis after another.
torch::Tensor linear_resized_in_order(const torch::Tensor& x, torch::IntArrayRef size, bool align_corners);

/// max_pool3d of windows of two voxels an axis.
torch::Tensor max_pooled_in_order(const torch::Tensor& x_BCZYX);

/// avg_pool3d of windows of edges `stride`.
torch::Tensor average_pooled_in_order(const torch::Tensor& x_BCZYX, torch::IntArrayRef stride);

}  // namespace mambaseg
