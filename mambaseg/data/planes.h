#pragma once

#include <array>
#include <string>
#include <vector>

#include <torch/types.h>

#include "mambaseg/core/geometry.h"
#include "mambaseg/data/plan.h"

namespace mambaseg {

/// The array axes of a volume along which the slices of a plane are numbered and their rows and columns run.
struct PlaneAxes {
  int row = 0, column = 1, slice = 2;
};

/// Axial slices have rows along front-back and columns along left-right, coronal ones rows along left-right
/// and columns along head-feet, sagittal ones rows along front-back and columns along head-feet, whatever
/// their directions in `orientation` are. In LIA these are FastSurfer's slices.
PlaneAxes plane_axes(const std::string& plane, const std::string& orientation);

/// A volume (..., i, j, k) as slices (..., row, column, slice), and back. Views.
torch::Tensor slices_of(const torch::Tensor& volume, const PlaneAxes& axes);
torch::Tensor volume_of(const torch::Tensor& slices, const PlaneAxes& axes);

/// The slices `first`, ..., `first` + `count` - 1 of slices (..., row, column, slice), the first and the last
/// repeated where they lie beyond. A copy.
torch::Tensor repeated_slices(const torch::Tensor& slices, int64_t first, int64_t count);

/// (..., C, row, column, slice) as what a network of two dimensions reads: (..., C * slices, row, column).
torch::Tensor slices_as_channels(const torch::Tensor& slices);

/// What a network that works at Plan::base_resolution is told of images of these voxel sizes along the array
/// axes (PixelScaled): base resolution over pixel size, along rows and columns.
std::array<double, 2> scale_factors(const Plan& plan, const PlaneAxes& axes, const Vector3& spacing_mm);

/// The weight of the scores of Plan::plane beside those of other planes.
double plane_weight(const Plan& plan);

/// The class number that the network has for background and each class of the plan, where it does not tell
/// the sides of the body apart (Plan::merge_sides); empty: those of the plan.
std::vector<int64_t> merged_classes(const Plan& plan);

/// Score maps of a network of such classes; of one that tells the sides apart (`merged` is empty): `planned`.
int64_t merged_score_maps(const std::vector<int64_t>& merged, int64_t planned);

/// Throws UsageError ("plan: ...") when the settings of slices do not fit each other.
void check_planes(const Plan& plan);

}  // namespace mambaseg
