#pragma once

#include <cmath>
#include <functional>
#include <string>

#include "mambaseg/core/error.h"
#include "mambaseg/io/image.h"

namespace mambaseg {

/// The message of the Error that `action` throws, or "".
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Different sizes and spacings (0.9, 1.25, 3 mm) on each axis, turned about two axes. Every entry is a
/// float, written out because GCC 12 drops a double-float-double rounding when it vectorises it.
inline Geometry oblique_grid() {
  Geometry g;
  g.size = {5, 4, 3};
  g.voxel_to_ras_mm.matrix = {{{-0.859802842f, -0.362036854f, -0.176132411f},
                               {-0.265968174f, 1.17036676f, 0.569388211f},
                               {0, -0.248336658f, 2.94019985f}}};
  g.voxel_to_ras_mm.offset = {12.5, -7.25, 101.75};
  return g;
}

/// 0, 1, 2, ... plus `first`, in the number type T.
template <class T>
Image counting_image(const Geometry& geometry, T first = T{0}) {
  std::vector<T> values(static_cast<size_t>(geometry.voxel_count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(first + static_cast<T>(i));
  return {geometry, values};
}

/// The largest difference between two voxel-to-mm maps.
inline double difference(const Affine& a, const Affine& b) {
  double worst = 0;
  for (int row = 0; row < 3; ++row) {
    worst = std::max(worst, std::abs(a.offset[row] - b.offset[row]));
    for (int column = 0; column < 3; ++column)
      worst = std::max(worst, std::abs(a.matrix[row][column] - b.matrix[row][column]));
  }
  return worst;
}

}  // namespace mambaseg
