// Transposing matrices by blocks of four by four. Included once per target by the *_simd.cpp files.

#if defined(MAMBASEG_TRANSPOSE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef MAMBASEG_TRANSPOSE_INL_H
#undef MAMBASEG_TRANSPOSE_INL_H
#else
#define MAMBASEG_TRANSPOSE_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

/// to[c][r] = from[r][c] for r < rows, c < columns; rows of `from` lie from_stride numbers apart, those of
/// `to` to_stride. Touches nothing else.
HWY_INLINE void transpose_block(const float* from, int64_t from_stride, int64_t rows, int64_t columns,
                                float* to, int64_t to_stride) {
  int64_t whole_rows = 0, whole_columns = 0;
#if HWY_TARGET != HWY_SCALAR
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::FixedTag<float, 4> d;
  const hn::Repartition<double, decltype(d)> pairs;
  const auto lower = [&](auto a, auto b) HWY_ATTR {
    return hn::BitCast(d, hn::InterleaveLower(pairs, hn::BitCast(pairs, a), hn::BitCast(pairs, b)));
  };
  const auto upper = [&](auto a, auto b) HWY_ATTR {
    return hn::BitCast(d, hn::InterleaveUpper(pairs, hn::BitCast(pairs, a), hn::BitCast(pairs, b)));
  };
  whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
  for (int64_t r = 0; r < whole_rows; r += 4) {
    for (int64_t c = 0; c < whole_columns; c += 4) {
      const float* at = from + r * from_stride + c;
      const auto v0 = hn::LoadU(d, at), v1 = hn::LoadU(d, at + from_stride);
      const auto v2 = hn::LoadU(d, at + 2 * from_stride), v3 = hn::LoadU(d, at + 3 * from_stride);
      const auto a = hn::InterleaveLower(d, v0, v1), b = hn::InterleaveLower(d, v2, v3);
      const auto e = hn::InterleaveUpper(d, v0, v1), f = hn::InterleaveUpper(d, v2, v3);
      float* column = to + c * to_stride + r;
      hn::StoreU(lower(a, b), d, column);
      hn::StoreU(upper(a, b), d, column + to_stride);
      hn::StoreU(lower(e, f), d, column + 2 * to_stride);
      hn::StoreU(upper(e, f), d, column + 3 * to_stride);
    }
  }
#endif
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c)
      to[c * to_stride + r] = from[r * from_stride + c];
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#endif
