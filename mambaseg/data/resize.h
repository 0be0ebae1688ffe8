#pragma once

#include <optional>
#include <span>
#include <vector>

#include "mambaseg/core/volume.h"
#include "mambaseg/kernels/line_resampling.h"

/// Resampling to another spacing as nnU-Net does it (Isensee et al. 2021; default_resampling.py): the new
/// grid covers the same box in space, so voxel x of n lies at (x + 1/2) m / n - 1/2 of the m old ones.
namespace mambaseg {

/// size * from / to along each axis, rounded half to even, at least 1.
Index3 resized_size(const Index3& size, const Vector3& from_mm, const Vector3& to_mm);

/// The grid of `size` voxels over the same box.
Geometry resized_grid(const Geometry& grid, const Index3& size);

/// The axis along which slices are too far apart to be interpolated with the others (the largest spacing is
/// more than three times the smallest, and no other axis has it): of the old grid, else of the new one.
std::optional<int> separate_axis(const Vector3& from_mm, const Vector3& to_mm);

/// What each of the new voxels along an axis is made of.
struct AxisTaps {
  size_t each = 0;
  std::vector<Tap> all;  ///< `each` for the first voxel, then for the second, ...

  std::span<const Tap> operator[](int64_t voxel) const {
    return std::span(all).subspan(static_cast<size_t>(voxel) * each, each);
  }
};

/// Order 0 the nearest old voxel, 1 two neighbours (low and high), 3 four spline coefficients, of which the
/// outer ones may lie beyond the axis.
AxisTaps axis_taps(int64_t from, int64_t to, int order);

/// order 1 linear, 3 cubic B-spline; edges repeat. Cubic values are clipped to the range of the image. With
/// `separate` each slice across that axis is interpolated (and clipped) on its own, and the nearest slice is
/// taken along it. Throws Error on another order.
Volume<float> resized(const Volume<float>& image, const Index3& size, int order, std::optional<int> separate);

/// Each label's map of 0 and 1 is interpolated linearly (nearest along `separate`); a voxel gets the largest
/// label that reaches 1/2 there, or 0.
template <class T>  // uint8_t, int32_t
Volume<T> resized_labels(const Volume<T>& labels, const Index3& size, std::optional<int> separate);

}  // namespace mambaseg
