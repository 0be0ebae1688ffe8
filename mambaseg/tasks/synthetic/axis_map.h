#pragma once

#include <cstdint>
#include <vector>

#include "mambaseg/core/geometry.h"

namespace mambaseg {

/// A linear map of the values along one axis of an image: blurring, averaging to slices, interpolation.
/// Output value x is the sum of weights[x * taps + t] * input[first[x] + t].
struct AxisMap {
  int64_t in = 0;    ///< number of input values
  int64_t taps = 0;  ///< weights of each output value
  std::vector<int64_t> first;
  std::vector<float> weights;

  int64_t out() const { return static_cast<int64_t>(first.size()); }
};

/// Along one axis the voxels that a scanner measures: each has a profile of `width` (box) blurred by a normal
/// curve of `deviation`, their centres are `spacing` apart (all in voxels of the image), `phase` (0..1) of a
/// spacing shifts them. At the ends the image goes on with its last value.
AxisMap measuring(int64_t size, double spacing, double width, double deviation, double phase);

/// The way back: `size` values by linear interpolation of what measuring(size, spacing, ..., phase) gives.
AxisMap interpolating(int64_t size, double spacing, double phase);

/// Applies the map along `axis` of an image of `size` (last axis fastest), which changes both.
void apply_along(int axis, const AxisMap& map, Index3& size, std::vector<float>& image);

}  // namespace mambaseg
