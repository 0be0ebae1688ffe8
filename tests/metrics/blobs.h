#pragma once

#include <cmath>

#include "mambaseg/core/random.h"
#include "mambaseg/core/volume.h"

namespace mambaseg {

inline Geometry grid(Index3 size, Vector3 spacing_mm = {1, 1, 1}) {
  Geometry g;
  g.size = size;
  for (int axis = 0; axis < 3; ++axis) g.voxel_to_ras_mm.matrix[axis][axis] = spacing_mm[axis];
  return g;
}

/// Fills the ball of `radius` voxels around `centre` with `label`.
inline void draw_ball(Volume<int32_t>& image, Vector3 centre, double radius, int32_t label) {
  const Index3& n = image.geometry.size;
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j)
      for (int64_t i = 0; i < n[0]; ++i)
        if (std::hypot(double(i) - centre[0], double(j) - centre[1], double(k) - centre[2]) <= radius)
          image.at(i, j, k) = label;
}

/// A few balls of the labels 1 to `labels`, some voxels of them knocked out or scattered.
inline Volume<int32_t> random_labels(const Geometry& geometry, int labels, uint64_t seed) {
  Volume<int32_t> image(geometry);
  Random random(seed);
  const Index3& n = geometry.size;
  for (int label = 1; label <= labels; ++label)
    draw_ball(
        image,
        {random.uniform(0, double(n[0])), random.uniform(0, double(n[1])), random.uniform(0, double(n[2]))},
        random.uniform(1, 5), label);
  for (auto& voxel : image.voxels)
    if (random.coin(0.02)) voxel = int32_t(random.below(labels + 1));
  return image;
}

}  // namespace mambaseg
