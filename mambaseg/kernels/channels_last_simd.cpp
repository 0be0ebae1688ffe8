#include "mambaseg/kernels/channels_last.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/channels_last_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "mambaseg/kernels/simd_dispatch.h"
#include "mambaseg/kernels/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

template <class T>
void moments(const T* x, int64_t rows, int64_t channels, const float* shift, float* sum, float* square) {
  const Lanes d;
  for (int64_t c = 0; c < channels; c += kLanes) {
    const int64_t count = channels - c;
    const Vec middle = load(shift + c, count);
    // Two chains each, so that additions overlap.
    Vec s0 = hn::Zero(d), s1 = s0, q0 = s0, q1 = s0;
    int64_t r = 0;
    for (; r + 1 < rows; r += 2) {
      const Vec a = hn::Sub(load(x + r * channels + c, count), middle);
      const Vec b = hn::Sub(load(x + (r + 1) * channels + c, count), middle);
      s0 = hn::Add(s0, a);
      s1 = hn::Add(s1, b);
      q0 = hn::MulAdd(a, a, q0);
      q1 = hn::MulAdd(b, b, q1);
    }
    if (r < rows) {
      const Vec a = hn::Sub(load(x + r * channels + c, count), middle);
      s0 = hn::Add(s0, a);
      q0 = hn::MulAdd(a, a, q0);
    }
    store(hn::Add(s0, s1), sum + c, count);
    store(hn::Add(q0, q1), square + c, count);
  }
}

template <class T>
void scale(const T* x, const T* residual, int64_t rows, int64_t channels, const float* scales,
           const float* shifts, float slope, T* y) {
  const Lanes d;
  const Vec below = hn::Set(d, slope);
  const auto finished = [&](Vec v, int64_t at, int64_t count) {
    if (residual) v = hn::Add(v, load(residual + at, count));
    store(hn::Max(v, hn::Mul(v, below)), y + at, count);
  };
  constexpr int64_t kBlock = 16;  // rows whose scales are read once
  for (int64_t first = 0; first < rows; first += kBlock) {
    const int64_t last = std::min(rows, first + kBlock);
    for (int64_t c = 0; c < channels; c += kLanes) {
      const int64_t count = channels - c;
      const Vec factor = load(scales + c, count), offset = load(shifts + c, count);
      for (int64_t r = first; r < last; ++r) {
        const int64_t at = r * channels + c;
        finished(hn::MulAdd(load(x + at, count), factor, offset), at, count);
      }
    }
  }
}

/// Of a row: its mean, and one over its standard deviation.
template <class T>
HWY_INLINE void row_statistics(const T* x, int64_t channels, float eps, Vec& mean, Vec& factor) {
  const Lanes d;
  const float part = 1.0f / static_cast<float>(channels);
  Vec sums = hn::Zero(d);
  for (int64_t c = 0; c < channels; c += kLanes) sums = hn::Add(sums, load(x + c, channels - c));
  mean = hn::Set(d, hn::GetLane(hn::SumOfLanes(d, sums)) * part);
  Vec squares = hn::Zero(d);
  for (int64_t c = 0; c < channels; c += kLanes) {
    const int64_t count = channels - c;
    Vec v = hn::Sub(load(x + c, count), mean);
    if (count < kLanes) v = hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(count)), v);
    squares = hn::MulAdd(v, v, squares);
  }
  const float variance = hn::GetLane(hn::SumOfLanes(d, squares)) * part;
  factor = hn::Div(hn::Set(d, 1.0f), hn::Sqrt(hn::Set(d, variance + eps)));
}

template <class T>
void norm(const T* x, int64_t rows, int64_t channels, const float* weight, const float* bias, float eps,
          T* y) {
  Vec mean, factor;
  for (int64_t r = 0; r < rows; ++r, x += channels, y += channels) {
    row_statistics(x, channels, eps, mean, factor);
    for (int64_t c = 0; c < channels; c += kLanes) {
      const int64_t count = channels - c;
      const Vec v = hn::Mul(hn::Sub(load(x + c, count), mean), factor);
      store(hn::MulAdd(v, load(weight + c, count), load(bias + c, count)), y + c, count);
    }
  }
}

/// With n the normed row and g = dy * weight: dx = (g - mean(g) - n * mean(g * n)) / standard deviation.
template <class T>
void norm_gradient(const T* x, const T* dy, int64_t rows, int64_t channels, const float* weight, float eps,
                   float* dweight, float* dbias, T* dx) {
  const Lanes d;
  const float part = 1.0f / static_cast<float>(channels);
  std::fill_n(dweight, channels, 0.0f);
  std::fill_n(dbias, channels, 0.0f);
  Vec mean, factor;
  for (int64_t r = 0; r < rows; ++r, x += channels, dy += channels, dx += channels) {
    row_statistics(x, channels, eps, mean, factor);
    Vec sums = hn::Zero(d), products = hn::Zero(d);
    for (int64_t c = 0; c < channels; c += kLanes) {
      const int64_t count = channels - c;
      const Vec n = hn::Mul(hn::Sub(load(x + c, count), mean), factor), given = load(dy + c, count);
      const Vec g = hn::Mul(given, load(weight + c, count));
      sums = hn::Add(sums, g);
      products = hn::MulAdd(g, n, products);
      store(hn::MulAdd(given, n, load(dweight + c, count)), dweight + c, count);
      store(hn::Add(given, load(dbias + c, count)), dbias + c, count);
    }
    const Vec mean_g = hn::Set(d, hn::GetLane(hn::SumOfLanes(d, sums)) * part);
    const Vec mean_gn = hn::Set(d, hn::GetLane(hn::SumOfLanes(d, products)) * part);
    for (int64_t c = 0; c < channels; c += kLanes) {
      const int64_t count = channels - c;
      const Vec n = hn::Mul(hn::Sub(load(x + c, count), mean), factor);
      const Vec g = hn::Mul(load(dy + c, count), load(weight + c, count));
      store(hn::Mul(hn::NegMulAdd(n, mean_gn, hn::Sub(g, mean_g)), factor), dx + c, count);
    }
  }
}

template <class T>
void halve(const T* const* rows, int64_t row_count, int64_t outputs, int64_t channels, T* y) {
  for (int64_t i = 0; i < outputs; ++i) {
    for (int64_t c = 0; c < channels; c += kLanes) {
      const int64_t count = channels - c, left = 2 * i * channels + c;
      Vec largest = hn::Max(load(rows[0] + left, count), load(rows[0] + left + channels, count));
      for (int64_t r = 1; r < row_count; ++r)
        largest =
            hn::Max(largest, hn::Max(load(rows[r] + left, count), load(rows[r] + left + channels, count)));
      store(largest, y + i * channels + c, count);
    }
  }
}

/// dy, times the slope where the activation was on its lower side.
HWY_INLINE Vec through_activation(Vec y, Vec dy, Vec slope) {
  return hn::IfThenElse(hn::Gt(y, hn::Zero(Lanes())), dy, hn::Mul(dy, slope));
}

template <class T>
void gradient_sums(const T* x, const T* y, const T* dy, int64_t rows, int64_t channels, const float* middle,
                   float slope, float* sum, float* product) {
  const Lanes d;
  const Vec below = hn::Set(d, slope);
  for (int64_t c = 0; c < channels; c += kLanes) {
    const int64_t count = channels - c;
    const Vec from = load(middle + c, count);
    Vec s = hn::Zero(d), p = hn::Zero(d);
    for (int64_t at = c; at < rows * channels; at += channels) {
      const Vec g = through_activation(load(y + at, count), load(dy + at, count), below);
      s = hn::Add(s, g);
      p = hn::MulAdd(g, hn::Sub(load(x + at, count), from), p);
    }
    store(s, sum + c, count);
    store(p, product + c, count);
  }
}

template <class T>
void gradient_rows(const T* x, const T* y, const T* dy, int64_t rows, int64_t channels, float slope,
                   const float* by_g, const float* by_x, const float* offset, T* dx) {
  const Vec below = hn::Set(Lanes(), slope);
  for (int64_t c = 0; c < channels; c += kLanes) {
    const int64_t count = channels - c;
    const Vec of_g = load(by_g + c, count), of_x = load(by_x + c, count), rest = load(offset + c, count);
    for (int64_t at = c; at < rows * channels; at += channels) {
      const Vec g = through_activation(load(y + at, count), load(dy + at, count), below);
      store(hn::MulAdd(g, of_g, hn::MulAdd(load(x + at, count), of_x, rest)), dx + at, count);
    }
  }
}

void halve_gradient(const float* const* rows, int64_t row_count, int64_t outputs, int64_t channels,
                    const float* y, const float* dy, float* const* dx) {
  for (int64_t i = 0; i < outputs; ++i) {
    for (int64_t c = 0; c < channels; c += kLanes) {
      const int64_t count = channels - c, at = i * channels + c;
      const Vec largest = load(y + at, count);
      Vec left = load(dy + at, count);  // dy until it is given away
      for (int64_t r = 0; r < row_count; ++r) {
        for (int64_t from = 2 * i * channels + c, k = 0; k < 2; ++k, from += channels) {
          const auto here = hn::Eq(load(rows[r] + from, count), largest);
          store(hn::IfThenElseZero(here, left), dx[r] + from, count);
          left = hn::IfThenZeroElse(here, left);
        }
      }
    }
  }
}

// Highway's tables hold plain functions.
void moments_fp32(const float* x, int64_t rows, int64_t channels, const float* shift, float* sum,
                  float* square) {
  moments(x, rows, channels, shift, sum, square);
}
void moments_bf16(const Bfloat16* x, int64_t rows, int64_t channels, const float* shift, float* sum,
                  float* square) {
  moments(x, rows, channels, shift, sum, square);
}
void scale_fp32(const float* x, const float* residual, int64_t rows, int64_t channels, const float* scales,
                const float* shifts, float slope, float* y) {
  scale(x, residual, rows, channels, scales, shifts, slope, y);
}
void scale_bf16(const Bfloat16* x, const Bfloat16* residual, int64_t rows, int64_t channels,
                const float* scales, const float* shifts, float slope, Bfloat16* y) {
  scale(x, residual, rows, channels, scales, shifts, slope, y);
}
void norm_fp32(const float* x, int64_t rows, int64_t channels, const float* weight, const float* bias,
               float eps, float* y) {
  norm(x, rows, channels, weight, bias, eps, y);
}
void norm_bf16(const Bfloat16* x, int64_t rows, int64_t channels, const float* weight, const float* bias,
               float eps, Bfloat16* y) {
  norm(x, rows, channels, weight, bias, eps, y);
}
void norm_gradient_fp32(const float* x, const float* dy, int64_t rows, int64_t channels, const float* weight,
                        float eps, float* dweight, float* dbias, float* dx) {
  norm_gradient(x, dy, rows, channels, weight, eps, dweight, dbias, dx);
}
void norm_gradient_bf16(const Bfloat16* x, const Bfloat16* dy, int64_t rows, int64_t channels,
                        const float* weight, float eps, float* dweight, float* dbias, Bfloat16* dx) {
  norm_gradient(x, dy, rows, channels, weight, eps, dweight, dbias, dx);
}
void halve_fp32(const float* const* rows, int64_t row_count, int64_t outputs, int64_t channels, float* y) {
  halve(rows, row_count, outputs, channels, y);
}
void halve_bf16(const Bfloat16* const* rows, int64_t row_count, int64_t outputs, int64_t channels,
                Bfloat16* y) {
  halve(rows, row_count, outputs, channels, y);
}
void gradient_sums_fp32(const float* x, const float* y, const float* dy, int64_t rows, int64_t channels,
                        const float* middle, float slope, float* sum, float* product) {
  gradient_sums(x, y, dy, rows, channels, middle, slope, sum, product);
}
void gradient_sums_bf16(const Bfloat16* x, const Bfloat16* y, const Bfloat16* dy, int64_t rows,
                        int64_t channels, const float* middle, float slope, float* sum, float* product) {
  gradient_sums(x, y, dy, rows, channels, middle, slope, sum, product);
}
void gradient_rows_fp32(const float* x, const float* y, const float* dy, int64_t rows, int64_t channels,
                        float slope, const float* by_g, const float* by_x, const float* offset, float* dx) {
  gradient_rows(x, y, dy, rows, channels, slope, by_g, by_x, offset, dx);
}
void gradient_rows_bf16(const Bfloat16* x, const Bfloat16* y, const Bfloat16* dy, int64_t rows,
                        int64_t channels, float slope, const float* by_g, const float* by_x,
                        const float* offset, Bfloat16* dx) {
  gradient_rows(x, y, dy, rows, channels, slope, by_g, by_x, offset, dx);
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(moments_fp32);
HWY_EXPORT(moments_bf16);
HWY_EXPORT(scale_fp32);
HWY_EXPORT(scale_bf16);
HWY_EXPORT(norm_fp32);
HWY_EXPORT(norm_bf16);
HWY_EXPORT(norm_gradient_fp32);
HWY_EXPORT(norm_gradient_bf16);
HWY_EXPORT(halve_fp32);
HWY_EXPORT(halve_bf16);
HWY_EXPORT(gradient_sums_fp32);
HWY_EXPORT(gradient_sums_bf16);
HWY_EXPORT(gradient_rows_fp32);
HWY_EXPORT(gradient_rows_bf16);
HWY_EXPORT(halve_gradient);

void channel_moments(const float* x, int64_t rows, int64_t channels, const float* shift, float* sum,
                     float* square, SimdTarget target) {
  HWY_DISPATCH_TABLE(moments_fp32)[table_index(target)](x, rows, channels, shift, sum, square);
}
void channel_moments(const Bfloat16* x, int64_t rows, int64_t channels, const float* shift, float* sum,
                     float* square, SimdTarget target) {
  HWY_DISPATCH_TABLE(moments_bf16)[table_index(target)](x, rows, channels, shift, sum, square);
}

void scale_shift(const float* x, const float* residual, int64_t rows, int64_t channels, const float* scale,
                 const float* shift, float slope, float* y, SimdTarget target) {
  HWY_DISPATCH_TABLE(scale_fp32)[table_index(target)](x, residual, rows, channels, scale, shift, slope, y);
}
void scale_shift(const Bfloat16* x, const Bfloat16* residual, int64_t rows, int64_t channels,
                 const float* scale, const float* shift, float slope, Bfloat16* y, SimdTarget target) {
  HWY_DISPATCH_TABLE(scale_bf16)[table_index(target)](x, residual, rows, channels, scale, shift, slope, y);
}

void norm_rows(const float* x, int64_t rows, int64_t channels, const float* weight, const float* bias,
               float eps, float* y, SimdTarget target) {
  HWY_DISPATCH_TABLE(norm_fp32)[table_index(target)](x, rows, channels, weight, bias, eps, y);
}
void norm_rows(const Bfloat16* x, int64_t rows, int64_t channels, const float* weight, const float* bias,
               float eps, Bfloat16* y, SimdTarget target) {
  HWY_DISPATCH_TABLE(norm_bf16)[table_index(target)](x, rows, channels, weight, bias, eps, y);
}

void norm_rows_gradient(const float* x, const float* dy, int64_t rows, int64_t channels, const float* weight,
                        float eps, float* dweight, float* dbias, float* dx, SimdTarget target) {
  HWY_DISPATCH_TABLE(norm_gradient_fp32)
  [table_index(target)](x, dy, rows, channels, weight, eps, dweight, dbias, dx);
}
void norm_rows_gradient(const Bfloat16* x, const Bfloat16* dy, int64_t rows, int64_t channels,
                        const float* weight, float eps, float* dweight, float* dbias, Bfloat16* dx,
                        SimdTarget target) {
  HWY_DISPATCH_TABLE(norm_gradient_bf16)
  [table_index(target)](x, dy, rows, channels, weight, eps, dweight, dbias, dx);
}

void halve_rows(const float* const* rows, int64_t row_count, int64_t outputs, int64_t channels, float* y,
                SimdTarget target) {
  HWY_DISPATCH_TABLE(halve_fp32)[table_index(target)](rows, row_count, outputs, channels, y);
}
void halve_rows(const Bfloat16* const* rows, int64_t row_count, int64_t outputs, int64_t channels,
                Bfloat16* y, SimdTarget target) {
  HWY_DISPATCH_TABLE(halve_bf16)[table_index(target)](rows, row_count, outputs, channels, y);
}

void scale_shift_sums(const float* x, const float* y, const float* dy, int64_t rows, int64_t channels,
                      const float* middle, float slope, float* sum, float* product, SimdTarget target) {
  HWY_DISPATCH_TABLE(gradient_sums_fp32)
  [table_index(target)](x, y, dy, rows, channels, middle, slope, sum, product);
}
void scale_shift_sums(const Bfloat16* x, const Bfloat16* y, const Bfloat16* dy, int64_t rows,
                      int64_t channels, const float* middle, float slope, float* sum, float* product,
                      SimdTarget target) {
  HWY_DISPATCH_TABLE(gradient_sums_bf16)
  [table_index(target)](x, y, dy, rows, channels, middle, slope, sum, product);
}

void scale_shift_gradient(const float* x, const float* y, const float* dy, int64_t rows, int64_t channels,
                          float slope, const float* by_g, const float* by_x, const float* offset, float* dx,
                          SimdTarget target) {
  HWY_DISPATCH_TABLE(gradient_rows_fp32)
  [table_index(target)](x, y, dy, rows, channels, slope, by_g, by_x, offset, dx);
}
void scale_shift_gradient(const Bfloat16* x, const Bfloat16* y, const Bfloat16* dy, int64_t rows,
                          int64_t channels, float slope, const float* by_g, const float* by_x,
                          const float* offset, Bfloat16* dx, SimdTarget target) {
  HWY_DISPATCH_TABLE(gradient_rows_bf16)
  [table_index(target)](x, y, dy, rows, channels, slope, by_g, by_x, offset, dx);
}

void halve_rows_gradient(const float* const* rows, int64_t row_count, int64_t outputs, int64_t channels,
                         const float* y, const float* dy, float* const* dx, SimdTarget target) {
  HWY_DISPATCH_TABLE(halve_gradient)[table_index(target)](rows, row_count, outputs, channels, y, dy, dx);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
