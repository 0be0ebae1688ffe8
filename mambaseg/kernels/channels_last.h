#pragma once

#include <cstdint>

#include "mambaseg/kernels/bfloat16.h"
#include "mambaseg/kernels/target.h"

/// Passes over activations whose channels lie innermost: `rows` voxels or tokens of `channels` numbers each,
/// in fp32 or bf16 (computed in fp32, rounded to nearest even).
namespace mambaseg {

/// sum[c] = sum over the rows of x - shift[c], square[c] = sum of its square. A shift near the mean keeps
/// digits. At most kMomentRows rows, so that the sums are good to 1e-6.
constexpr int64_t kMomentRows = 256;
void channel_moments(const float* x, int64_t rows, int64_t channels, const float* shift, float* sum,
                     float* square, SimdTarget target = best_target());
void channel_moments(const Bfloat16* x, int64_t rows, int64_t channels, const float* shift, float* sum,
                     float* square, SimdTarget target = best_target());

/// y = max(v, slope * v), v = x * scale[c] + shift[c] + residual. Slope 1: v itself, 0: ReLU. `residual` may
/// be null and y may be x or residual.
void scale_shift(const float* x, const float* residual, int64_t rows, int64_t channels, const float* scale,
                 const float* shift, float slope, float* y, SimdTarget target = best_target());
void scale_shift(const Bfloat16* x, const Bfloat16* residual, int64_t rows, int64_t channels,
                 const float* scale, const float* shift, float slope, Bfloat16* y,
                 SimdTarget target = best_target());

/// Each row minus its mean, over its standard deviation (variance + eps), times weight[c], plus bias[c].
void norm_rows(const float* x, int64_t rows, int64_t channels, const float* weight, const float* bias,
               float eps, float* y, SimdTarget target = best_target());
void norm_rows(const Bfloat16* x, int64_t rows, int64_t channels, const float* weight, const float* bias,
               float eps, Bfloat16* y, SimdTarget target = best_target());

/// Gradients of norm_rows: dx of dy, and sums over the rows for weight and bias. At most kMomentRows rows.
void norm_rows_gradient(const float* x, const float* dy, int64_t rows, int64_t channels, const float* weight,
                        float eps, float* dweight, float* dbias, float* dx,
                        SimdTarget target = best_target());
void norm_rows_gradient(const Bfloat16* x, const Bfloat16* dy, int64_t rows, int64_t channels,
                        const float* weight, float eps, float* dweight, float* dbias, Bfloat16* dx,
                        SimdTarget target = best_target());

/// The largest of pairs of voxels of `row_count` rows of voxels:
/// y[i][c] = max over the rows of row[2 i][c] and row[2 i + 1][c], for i < outputs.
void halve_rows(const float* const* rows, int64_t row_count, int64_t outputs, int64_t channels, float* y,
                SimdTarget target = best_target());
void halve_rows(const Bfloat16* const* rows, int64_t row_count, int64_t outputs, int64_t channels,
                Bfloat16* y, SimdTarget target = best_target());

/// For y = act(x * scale + shift) and g = dy where y > 0, slope * dy elsewhere: sum[c] = sum over the rows of
/// g, product[c] = sum of g * (x - middle[c]). At most kMomentRows rows.
void scale_shift_sums(const float* x, const float* y, const float* dy, int64_t rows, int64_t channels,
                      const float* middle, float slope, float* sum, float* product,
                      SimdTarget target = best_target());
void scale_shift_sums(const Bfloat16* x, const Bfloat16* y, const Bfloat16* dy, int64_t rows,
                      int64_t channels, const float* middle, float slope, float* sum, float* product,
                      SimdTarget target = best_target());

/// dx = g * by_g[c] + x * by_x[c] + offset[c], g as above.
void scale_shift_gradient(const float* x, const float* y, const float* dy, int64_t rows, int64_t channels,
                          float slope, const float* by_g, const float* by_x, const float* offset, float* dx,
                          SimdTarget target = best_target());
void scale_shift_gradient(const Bfloat16* x, const Bfloat16* y, const Bfloat16* dy, int64_t rows,
                          int64_t channels, float slope, const float* by_g, const float* by_x,
                          const float* offset, Bfloat16* dx, SimdTarget target = best_target());

/// Gradient of halve_rows, fp32: dx is dy where x first equals y, in the order of the rows and within them,
/// else 0.
void halve_rows_gradient(const float* const* rows, int64_t row_count, int64_t outputs, int64_t channels,
                         const float* y, const float* dy, float* const* dx,
                         SimdTarget target = best_target());

}  // namespace mambaseg
