#pragma once

#include <optional>
#include <vector>

#include "mambaseg/core/volume.h"

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

/// An old voxel, and its weight, that a new one is made of.
struct Tap {
  int64_t index;
  double weight;
};

/// What each of the `to` new voxels along an axis is made of: order 0 the nearest old one, 1 two neighbours
/// (low and high), 3 four spline coefficients, of which the outer ones may lie beyond the axis.
std::vector<std::vector<Tap>> axis_taps(int64_t from, int64_t to, int order);

/// order 1 linear, 3 cubic B-spline; edges repeat. Cubic values are clipped to the range of the image. With
/// `separate` each slice across that axis is interpolated (and clipped) on its own, and the nearest slice is
/// taken along it. Throws Error on another order.
Volume<float> resized(const Volume<float>& image, const Index3& size, int order, std::optional<int> separate);

/// Each label's map of 0 and 1 is interpolated linearly (nearest along `separate`); a voxel gets the largest
/// label that reaches 1/2 there, or 0.
Volume<int32_t> resized_labels(const Volume<int32_t>& labels, const Index3& size,
                               std::optional<int> separate);

}  // namespace mambaseg
