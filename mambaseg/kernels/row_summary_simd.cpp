#include "mambaseg/kernels/row_summary.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/row_summary_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "mambaseg/kernels/simd_dispatch.h"
#include "mambaseg/kernels/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

/// The lanes before `count`, the others as in `otherwise`.
HWY_INLINE Vec first_lanes(Vec v, int64_t count, Vec otherwise) {
  if (HWY_LIKELY(count >= kLanes)) return v;
  return hn::IfThenElse(hn::FirstN(Lanes(), static_cast<size_t>(count)), v, otherwise);
}

template <class T>
void summary(const T* x, int64_t rows, int64_t channels, T* y) {
  const Lanes d;
  const float part = 1.0f / static_cast<float>(channels);
  for (int64_t r = 0; r < rows; ++r, x += channels, y += 2) {
    Vec sum = hn::Zero(d), largest = hn::Set(d, to_float(x[0]));
    for (int64_t c = 0; c < channels; c += kLanes) {
      const Vec v = load(x + c, channels - c);
      sum = hn::Add(sum, v);
      largest = hn::Max(largest, first_lanes(v, channels - c, largest));
    }
    store(hn::Mul(hn::SumOfLanes(d, sum), hn::Set(d, part)), y, 1);
    store(hn::MaxOfLanes(d, largest), y + 1, 1);
  }
}

template <class T>
void summary_gradient(const T* x, const T* y, const T* dy, int64_t rows, int64_t channels, T* dx) {
  const Lanes d;
  const float part = 1.0f / static_cast<float>(channels);
  const Vec one = hn::Set(d, 1.0f), zero = hn::Zero(d);
  for (int64_t r = 0; r < rows; ++r, x += channels, y += 2, dy += 2, dx += channels) {
    const Vec largest = hn::Set(d, to_float(y[1])), everywhere = hn::Set(d, to_float(dy[0]) * part);
    Vec holders = zero;
    for (int64_t c = 0; c < channels; c += kLanes) {
      const Vec v = load(x + c, channels - c);
      holders =
          hn::Add(holders, first_lanes(hn::IfThenElseZero(hn::Eq(v, largest), one), channels - c, zero));
    }
    const Vec share = hn::Set(d, to_float(dy[1]) / hn::GetLane(hn::SumOfLanes(d, holders)));
    for (int64_t c = 0; c < channels; c += kLanes) {
      const auto holds = hn::Eq(load(x + c, channels - c), largest);
      store(hn::Add(everywhere, hn::IfThenElseZero(holds, share)), dx + c, channels - c);
    }
  }
}

// Highway's tables hold plain functions.
void summary_fp32(const float* x, int64_t rows, int64_t channels, float* y) { summary(x, rows, channels, y); }
void summary_bf16(const Bfloat16* x, int64_t rows, int64_t channels, Bfloat16* y) {
  summary(x, rows, channels, y);
}
void summary_gradient_fp32(const float* x, const float* y, const float* dy, int64_t rows, int64_t channels,
                           float* dx) {
  summary_gradient(x, y, dy, rows, channels, dx);
}
void summary_gradient_bf16(const Bfloat16* x, const Bfloat16* y, const Bfloat16* dy, int64_t rows,
                           int64_t channels, Bfloat16* dx) {
  summary_gradient(x, y, dy, rows, channels, dx);
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(summary_fp32);
HWY_EXPORT(summary_bf16);
HWY_EXPORT(summary_gradient_fp32);
HWY_EXPORT(summary_gradient_bf16);

void summarise_rows(const float* x, int64_t rows, int64_t channels, float* y, SimdTarget target) {
  HWY_DISPATCH_TABLE(summary_fp32)[table_index(target)](x, rows, channels, y);
}
void summarise_rows(const Bfloat16* x, int64_t rows, int64_t channels, Bfloat16* y, SimdTarget target) {
  HWY_DISPATCH_TABLE(summary_bf16)[table_index(target)](x, rows, channels, y);
}
void summarise_rows_gradient(const float* x, const float* y, const float* dy, int64_t rows, int64_t channels,
                             float* dx, SimdTarget target) {
  HWY_DISPATCH_TABLE(summary_gradient_fp32)[table_index(target)](x, y, dy, rows, channels, dx);
}
void summarise_rows_gradient(const Bfloat16* x, const Bfloat16* y, const Bfloat16* dy, int64_t rows,
                             int64_t channels, Bfloat16* dx, SimdTarget target) {
  HWY_DISPATCH_TABLE(summary_gradient_bf16)[table_index(target)](x, y, dy, rows, channels, dx);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
