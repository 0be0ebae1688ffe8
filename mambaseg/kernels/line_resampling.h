#pragma once

#include <cstdint>

#include "mambaseg/kernels/target.h"

/// Interpolation along lines of voxels, kLinesAtOnce side by side: value i of line c lies at
/// lines[i * kLinesAtOnce + c]. In double; the operations and their order are the same for every target, and
/// so are the bits.
namespace mambaseg {

constexpr int64_t kLinesAtOnce = 16;

/// Cubic B-spline coefficients of n values a line, in place; mirrored at both ends (Unser 1999).
void spline_coefficients(double* lines, int64_t n, SimdTarget target = best_target());

/// An old voxel, and its weight, that a new one is made of.
struct Tap {
  int64_t index;
  double weight;
};

/// out[i * step + c] = sum over the taps of new voxel i, `each` of them side by side in `taps`, within low[c]
/// to high[c].
void weighted_lines(const double* lines, const Tap* taps, int64_t each, int64_t count, const float* low,
                    const float* high, float* out, int64_t step, SimdTarget target = best_target());

}  // namespace mambaseg
