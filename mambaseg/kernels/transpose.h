#pragma once

#include <cstdint>

#include "mambaseg/kernels/target.h"

namespace mambaseg {

/// to[c][r] = from[r][c] for r < rows, c < columns; rows of `from` lie from_stride numbers apart, those of
/// `to` to_stride.
void transpose_matrix(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to,
                      int64_t to_stride, SimdTarget target = best_target());

}  // namespace mambaseg
