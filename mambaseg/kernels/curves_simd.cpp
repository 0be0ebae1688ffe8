#include "mambaseg/kernels/curves.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/curves_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "mambaseg/kernels/simd_dispatch.h"
#include "mambaseg/kernels/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

template <Curve curve>
struct CurveOf {
  HWY_INLINE CurveOf() {}  // written out, because an implicit one is not compiled for the target

  const Lanes d{};
  const Vec one = hn::Set(d, 1.0f);

  HWY_INLINE Vec value(Vec x) const {
    if constexpr (curve == Curve::sigmoid) {
      return sigmoid(x);
    } else if constexpr (curve == Curve::silu) {
      return silu(x);
    } else {
      Vec bell;
      return hn::Mul(x, normal(x, bell));
    }
  }
  /// curve'(x); `value` receives curve(x).
  HWY_INLINE Vec slope(Vec x, Vec& value) const {
    if constexpr (curve == Curve::gelu) {
      Vec bell;
      const Vec share = normal(x, bell);
      value = hn::Mul(x, share);
      return hn::MulAdd(hn::Mul(x, hn::Set(d, 0x1.988453p-2f)), bell, share);  // 1 / sqrt(2 pi)
    } else {
      const Vec share = sigmoid(x), rest = hn::Sub(one, share);
      value = curve == Curve::silu ? hn::Mul(x, share) : share;
      return hn::MulAdd(value, rest, curve == Curve::silu ? share : hn::Zero(d));
    }
  }

 private:
  /// logistic() takes what is no number for a number on some targets.
  HWY_INLINE Vec sigmoid(Vec x) const { return hn::IfThenElse(hn::Eq(x, x), logistic(x), x); }

  /// The normal distribution up to x, 1 - erfc(x / sqrt(2)) / 2; `bell` receives exp(-x^2 / 2).
  /// docs/numerics.md derives the polynomial.
  HWY_INLINE Vec normal(Vec x, Vec& bell) const {
    const Vec size = hn::Min(hn::Abs(x), hn::Set(d, 14.0f));  // behind which bell is 0
    bell = exp_of_negative(hn::Mul(hn::Mul(size, hn::Set(d, -0.5f)), size));
    const Vec q = reciprocal(hn::MulAdd(size, hn::Set(d, 0x1.0f876cp-2f), one));  // 0.375 / sqrt(2)
    Vec p = hn::MulAdd(hn::Set(d, 0x1.f969eep-6f), q, hn::Set(d, -0x1.26fc7ep-3f));
    p = hn::MulAdd(p, q, hn::Set(d, 0x1.bc4d24p-3f));
    p = hn::MulAdd(p, q, hn::Set(d, -0x1.d93b2ap-4f));
    p = hn::MulAdd(p, q, hn::Set(d, 0x1.196f8ep-3f));
    p = hn::MulAdd(p, q, hn::Set(d, 0x1.efc896p-5f));
    p = hn::MulAdd(p, q, hn::Set(d, 0x1.a4b870p-4f));
    p = hn::MulAdd(p, q, hn::Set(d, 0x1.af60a8p-4f));
    p = hn::MulAdd(p, q, hn::Set(d, 0x1.b162e6p-4f));
    const Vec tail = hn::Mul(hn::Mul(p, q), bell);
    return hn::IfThenElse(hn::Ge(x, hn::Zero(d)), hn::Sub(one, tail), tail);
  }
};

template <Curve curve, class X, class Y>
void values_of(const CurveRows& rows, const X* x, const Y* factor, Y* y) {
  const CurveOf<curve> of;
  for (int64_t r = 0; r < rows.rows; ++r, x += rows.stride, y += rows.channels) {
    for (int64_t c = 0; c < rows.channels; c += kLanes) {
      const int64_t count = rows.channels - c;
      const Vec v = of.value(load(x + c, count));
      store(factor ? hn::Mul(v, load(factor + r * rows.channels + c, count)) : v, y + c, count);
    }
  }
}

template <Curve curve, class X, class Y>
void gradient_of(const CurveRows& rows, const X* x, const Y* factor, const Y* dy, X* dx, Y* dfactor) {
  const CurveOf<curve> of;
  for (int64_t r = 0; r < rows.rows; ++r, x += rows.stride) {
    for (int64_t c = 0; c < rows.channels; c += kLanes) {
      const int64_t at = r * rows.channels + c, count = rows.channels - c;
      Vec value;
      const Vec slope = of.slope(load(x + c, count), value), given = load(dy + at, count);
      store(hn::Mul(factor ? hn::Mul(given, load(factor + at, count)) : given, slope), dx + at, count);
      if (dfactor) store(hn::Mul(given, value), dfactor + at, count);
    }
  }
}

template <class X, class Y>
void values(Curve curve, const CurveRows& rows, const X* x, const Y* factor, Y* y) {
  switch (curve) {
    case Curve::gelu:
      return values_of<Curve::gelu>(rows, x, factor, y);
    case Curve::silu:
      return values_of<Curve::silu>(rows, x, factor, y);
    case Curve::sigmoid:
      return values_of<Curve::sigmoid>(rows, x, factor, y);
  }
}

template <class X, class Y>
void gradient(Curve curve, const CurveRows& rows, const X* x, const Y* factor, const Y* dy, X* dx,
              Y* dfactor) {
  switch (curve) {
    case Curve::gelu:
      return gradient_of<Curve::gelu>(rows, x, factor, dy, dx, dfactor);
    case Curve::silu:
      return gradient_of<Curve::silu>(rows, x, factor, dy, dx, dfactor);
    case Curve::sigmoid:
      return gradient_of<Curve::sigmoid>(rows, x, factor, dy, dx, dfactor);
  }
}

// Highway's tables hold plain functions.
void values_fp32(Curve curve, const CurveRows& rows, const float* x, const float* factor, float* y) {
  values(curve, rows, x, factor, y);
}
void values_bf16(Curve curve, const CurveRows& rows, const Bfloat16* x, const Bfloat16* factor, Bfloat16* y) {
  values(curve, rows, x, factor, y);
}
void values_mixed(Curve curve, const CurveRows& rows, const Bfloat16* x, const float* factor, float* y) {
  values(curve, rows, x, factor, y);
}
void gradient_fp32(Curve curve, const CurveRows& rows, const float* x, const float* factor, const float* dy,
                   float* dx, float* dfactor) {
  gradient(curve, rows, x, factor, dy, dx, dfactor);
}
void gradient_bf16(Curve curve, const CurveRows& rows, const Bfloat16* x, const Bfloat16* factor,
                   const Bfloat16* dy, Bfloat16* dx, Bfloat16* dfactor) {
  gradient(curve, rows, x, factor, dy, dx, dfactor);
}
void gradient_mixed(Curve curve, const CurveRows& rows, const Bfloat16* x, const float* factor,
                    const float* dy, Bfloat16* dx, float* dfactor) {
  gradient(curve, rows, x, factor, dy, dx, dfactor);
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(values_fp32);
HWY_EXPORT(values_bf16);
HWY_EXPORT(values_mixed);
HWY_EXPORT(gradient_fp32);
HWY_EXPORT(gradient_bf16);
HWY_EXPORT(gradient_mixed);

void curve_values(Curve curve, const CurveRows& rows, const float* x, const float* factor, float* y,
                  SimdTarget target) {
  HWY_DISPATCH_TABLE(values_fp32)[table_index(target)](curve, rows, x, factor, y);
}
void curve_values(Curve curve, const CurveRows& rows, const Bfloat16* x, const Bfloat16* factor, Bfloat16* y,
                  SimdTarget target) {
  HWY_DISPATCH_TABLE(values_bf16)[table_index(target)](curve, rows, x, factor, y);
}
void curve_values(Curve curve, const CurveRows& rows, const Bfloat16* x, const float* factor, float* y,
                  SimdTarget target) {
  HWY_DISPATCH_TABLE(values_mixed)[table_index(target)](curve, rows, x, factor, y);
}

void curve_gradient(Curve curve, const CurveRows& rows, const float* x, const float* factor, const float* dy,
                    float* dx, float* dfactor, SimdTarget target) {
  HWY_DISPATCH_TABLE(gradient_fp32)[table_index(target)](curve, rows, x, factor, dy, dx, dfactor);
}
void curve_gradient(Curve curve, const CurveRows& rows, const Bfloat16* x, const Bfloat16* factor,
                    const Bfloat16* dy, Bfloat16* dx, Bfloat16* dfactor, SimdTarget target) {
  HWY_DISPATCH_TABLE(gradient_bf16)[table_index(target)](curve, rows, x, factor, dy, dx, dfactor);
}
void curve_gradient(Curve curve, const CurveRows& rows, const Bfloat16* x, const float* factor,
                    const float* dy, Bfloat16* dx, float* dfactor, SimdTarget target) {
  HWY_DISPATCH_TABLE(gradient_mixed)[table_index(target)](curve, rows, x, factor, dy, dx, dfactor);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
