#pragma once

#include <cstdint>

#include "mambaseg/kernels/bfloat16.h"
#include "mambaseg/kernels/target.h"

/// Mean and maximum over the channels of each voxel, whose channels lie innermost; computed in fp32.
namespace mambaseg {

/// y[r][0] = mean of row r, y[r][1] = its largest number.
void summarise_rows(const float* x, int64_t rows, int64_t channels, float* y,
                    SimdTarget target = best_target());
void summarise_rows(const Bfloat16* x, int64_t rows, int64_t channels, Bfloat16* y,
                    SimdTarget target = best_target());

/// dx = dy[r][0] / channels, and dy[r][1] shared by the channels that equal y[r][1].
void summarise_rows_gradient(const float* x, const float* y, const float* dy, int64_t rows, int64_t channels,
                             float* dx, SimdTarget target = best_target());
void summarise_rows_gradient(const Bfloat16* x, const Bfloat16* y, const Bfloat16* dy, int64_t rows,
                             int64_t channels, Bfloat16* dx, SimdTarget target = best_target());

}  // namespace mambaseg
