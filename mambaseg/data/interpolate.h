#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "mambaseg/core/volume.h"

namespace mambaseg {

/// Values between voxels as scipy.ndimage.affine_transform(mode="constant", cval=0) gives them: order 0
/// nearest (half up), 1 trilinear, 3 cubic B-spline with mirrored prefilter (Unser 1999). Outside the centres
/// of the border voxels the value is 0. Coordinates closer than 1e-9 to a voxel centre count as that centre.
class Sampler {
 public:
  /// Throws Error on another order.
  Sampler(const Volume<float>& values, int order);

  double operator()(const Vector3& voxel) const;

 private:
  double nearest(const Vector3& voxel) const;
  double linear(const Vector3& voxel) const;
  double cubic(const Vector3& voxel) const;

  const Volume<float>& values_;
  std::vector<double> coefficients_;  // order 3 only
  int order_;
};

/// Weights of the four coefficients around a point at fraction t in [0, 1) after the second.
std::array<double, 4> cubic_spline_weights(double t);

/// The map from voxel indices of `target` to voxel indices of `source`; whole numbers throughout where the
/// grids are only turned, flipped or shifted by whole voxels (headers keep single precision).
Affine voxel_map(const Geometry& target, const Geometry& source);

/// True for a matrix of one +-1 in each row and a whole offset, within rounding.
bool is_index_map(const Affine& map);

/// Calls write(index, value) for every voxel of a grid of `size` (index in memory order) with the value of
/// `sampler` at `to_source` of the voxel; several threads at once.
void resample(const Sampler& sampler, const Affine& to_source, const Index3& size,
              const std::function<void(size_t index, double value)>& write);

/// Labels on another grid: the label of the voxel in which each target centre lies, 0 outside. Exact between
/// grids that are only turned.
template <class T>  // uint8_t, int32_t
Volume<T> resample_labels(const Volume<T>& labels, const Geometry& target);

}  // namespace mambaseg
