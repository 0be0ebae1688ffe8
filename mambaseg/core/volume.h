#pragma once

#include <cassert>
#include <cstdint>
#include <vector>

#include "mambaseg/core/geometry.h"

namespace mambaseg {

/// One value a voxel on a geometry. Memory order is that of NIfTI: i fastest, then j, then k.
template <class T>
struct Volume {
  Geometry geometry;
  std::vector<T> voxels;

  Volume() = default;
  explicit Volume(const Geometry& g, T value = T{})
      : geometry(g), voxels(static_cast<size_t>(g.voxel_count()), value) {}

  int64_t offset(int64_t i, int64_t j, int64_t k) const {
    assert(i >= 0 && i < geometry.size[0] && j >= 0 && j < geometry.size[1] && k >= 0 &&
           k < geometry.size[2]);
    return i + geometry.size[0] * (j + geometry.size[1] * k);
  }
  T& at(int64_t i, int64_t j, int64_t k) { return voxels[static_cast<size_t>(offset(i, j, k))]; }
  const T& at(int64_t i, int64_t j, int64_t k) const { return voxels[static_cast<size_t>(offset(i, j, k))]; }
};

/// The same picture with array axes renamed and flipped.
template <class T>
Volume<T> permuted(const Volume<T>& in, const AxisPermutation& p) {
  Volume<T> out(permuted(in.geometry, p));
  const std::array<int64_t, 3> stride{1, in.geometry.size[0], in.geometry.size[0] * in.geometry.size[1]};
  std::array<int64_t, 3> step{};
  int64_t start = 0;
  for (int a = 0; a < 3; ++a) {
    step[a] = p.flip[a] ? -stride[p.axis[a]] : stride[p.axis[a]];
    if (p.flip[a]) start += stride[p.axis[a]] * (in.geometry.size[p.axis[a]] - 1);
  }
  const Index3& n = out.geometry.size;
  size_t to = 0;
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j)
      for (int64_t i = 0; i < n[0]; ++i)
        out.voxels[to++] = in.voxels[static_cast<size_t>(start + i * step[0] + j * step[1] + k * step[2])];
  return out;
}

}  // namespace mambaseg
