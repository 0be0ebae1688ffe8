#pragma once

#include <vector>

#include <torch/types.h>

namespace mambaseg {

/// How much each voxel of a patch counts where patches overlap (nnU-Net): a Gaussian around voxel size / 2 of
/// each axis with deviation `fraction` * size, cut off after 4 deviations, `peak` at its middle. What is or
/// rounds to 0 in `type` takes the smallest value that does not, so that every voxel counts.
torch::Tensor gaussian_importance(const std::vector<int64_t>& size, double fraction = 0.125, double peak = 10,
                                  torch::ScalarType type = torch::kFloat32);

}  // namespace mambaseg
