#pragma once

#include "mambaseg/nets/layers/layer.h"

namespace mambaseg {

/// Halves the grid: the largest of 2 x 2 (x 2) voxels.
class HalvingMaxPool : public Layer {
 public:
  torch::Tensor forward(const torch::Tensor& x) override;
};

/// Doubles the grid: every voxel repeated along each axis.
class NearestDoubling : public Layer {
 public:
  torch::Tensor forward(const torch::Tensor& x) override;
};

/// The mean of the voxels of each window of edges `stride`.
torch::Tensor average_pooled(const torch::Tensor& x, const Extent& stride);

/// Every voxel repeated `factor` times along each axis.
torch::Tensor nearest_upsampled(const torch::Tensor& x, const Extent& factor);

/// Linear (bilinear, trilinear) interpolation to `size`. Corners aligned: the outermost voxels keep their
/// values; else voxel areas are aligned.
torch::Tensor linear_resized(const torch::Tensor& x, const Extent& size, bool align_corners = false);

/// The same to `factor` times the size along each axis.
torch::Tensor linear_upsampled(const torch::Tensor& x, int64_t factor, bool align_corners = false);

/// Each block of `factor` voxels along every axis becomes the channels of one (space to depth): (B, C, S...)
/// -> (B, C * factor^dims, S / factor...); the place in the block varies fastest.
torch::Tensor folded(const torch::Tensor& x, int64_t factor);

/// Undoes folded.
torch::Tensor unfolded(const torch::Tensor& x, int64_t factor);

/// The spatial sizes of x (B, C, spatial...).
Extent spatial_size(const torch::Tensor& x);

}  // namespace mambaseg
