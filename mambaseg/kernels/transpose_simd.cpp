#include "mambaseg/kernels/transpose.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/transpose_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "hwy/cache_control.h"
#include "mambaseg/kernels/simd_dispatch.h"
#include "mambaseg/kernels/transpose-inl.h"
#include "mambaseg/kernels/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

/// Squares by way of a buffer, from which and to where whole lines of the cache are moved: rows a power of
/// two apart share few sets of it. The lines of both sides are asked for in time, since no hardware foresees
/// them.
void transposed(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to,
                int64_t to_stride) {
  constexpr int64_t kEdge = 64, kLine = 16;
  HWY_ALIGN float square[kEdge * (kEdge + kLine)] = {};
  for (int64_t r = 0; r < rows; r += kEdge) {
    const int64_t height = std::min(kEdge, rows - r);
    for (int64_t c = 0; c < columns; c += kEdge) {
      const int64_t width = std::min(kEdge, columns - c), next = std::min(kEdge, columns - c - width);
      const float* at = from + r * from_stride + c;
      float* result = to + c * to_stride + r;
      for (int64_t i = 0; i < height; i += 4) {
        for (int64_t k = i; k < std::min(i + 4, height); ++k)
          for (int64_t j = 0; j < next; j += kLine) hwy::Prefetch(at + k * from_stride + width + j);
        for (int64_t j = i; j < std::min(i + 4, width); ++j)
          for (int64_t k = 0; k < height; k += kLine) hwy::Prefetch(result + j * to_stride + k);
        transpose_block(at + i * from_stride, from_stride, std::min<int64_t>(4, height - i), width,
                        square + i, kEdge + kLine);
      }
      for (int64_t j = 0; j < width; ++j)
        for (int64_t i = 0; i < height; i += kLanes)
          store(hn::Load(Lanes(), square + j * (kEdge + kLine) + i), result + j * to_stride + i, height - i);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(transposed);

void transpose_matrix(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to,
                      int64_t to_stride, SimdTarget target) {
  HWY_DISPATCH_TABLE(transposed)[table_index(target)](from, from_stride, rows, columns, to, to_stride);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
