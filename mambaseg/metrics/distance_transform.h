#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mambaseg/core/geometry.h"

namespace mambaseg {

/// A place on a grid, array axes i, j, k.
struct GridPoint {
  int32_t i = 0, j = 0, k = 0;
  bool operator==(const GridPoint&) const = default;
};

/// For each query the Euclidean distance in mm to the nearest of `targets` on a grid of the given spacing:
/// exact (no chamfer), by the separable distance transform of Felzenszwalb and Huttenlocher (2012, "Distance
/// transforms of sampled functions") on the smallest box that holds both lists. Infinite when there is no
/// target. `queries` must be in memory order (k, then j, then i ascending). Needs 2 bytes a voxel of the box.
std::vector<double> nearest_distances(std::span<const GridPoint> queries, std::span<const GridPoint> targets,
                                      const Vector3& spacing_mm);

/// The whole field: for each voxel of `size` the squared distance in mm^2 to the nearest voxel with `inside`
/// != 0; infinite everywhere when there is none. i fastest.
std::vector<double> squared_distance_field(std::span<const uint8_t> inside, const Index3& size,
                                           const Vector3& spacing_mm);

}  // namespace mambaseg
