// Elementary functions on SIMD vectors, and sums over their lanes. Included once per target by the *_simd.cpp
// files. docs/numerics.md derives the polynomials and their errors.

#if defined(MAMBASEG_VECTOR_MATH_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef MAMBASEG_VECTOR_MATH_INL_H
#undef MAMBASEG_VECTOR_MATH_INL_H
#else
#define MAMBASEG_VECTOR_MATH_INL_H
#endif

#include <algorithm>

#include "hwy/highway.h"
#include "mambaseg/kernels/bfloat16.h"
#include "mambaseg/kernels/float16.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Lanes = hn::ScalableTag<float>;
using Vec = hn::Vec<Lanes>;
constexpr int64_t kLanes = hn::MaxLanes(Lanes());

/// The first `count` lanes from memory, zero in the others; reads nothing behind them.
HWY_INLINE Vec load(const float* from, int64_t count) {
  const Lanes d;
  if (HWY_LIKELY(count >= kLanes)) return hn::LoadU(d, from);
#if HWY_TARGET <= HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(count)), d, from);
#endif
  HWY_ALIGN float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return hn::Load(d, lanes);
}

/// The first `count` lanes to memory; touches nothing behind them.
HWY_INLINE void store(Vec v, float* to, int64_t count) {
  const Lanes d;
  if (HWY_LIKELY(count >= kLanes)) return hn::StoreU(v, d, to);
#if HWY_TARGET <= HWY_AVX2
  return hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(count)), d, to);
#endif
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, d, lanes);
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
}

/// The same for bf16.
HWY_INLINE Vec load(const Bfloat16* from, int64_t count) {
  const Lanes d;
  const hn::Rebind<uint16_t, Lanes> d16;
  const hn::Rebind<uint32_t, Lanes> d32;
  const auto widened = [&](const uint16_t* bits) HWY_ATTR {
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, bits))));
  };
  if (HWY_LIKELY(count >= kLanes)) return widened(&from->bits);
#if HWY_TARGET <= HWY_AVX3
  const auto some = hn::MaskedLoad(hn::FirstN(d16, static_cast<size_t>(count)), d16, &from->bits);
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, some)));
#endif
  HWY_ALIGN uint16_t lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i].bits;
  return widened(lanes);
}
HWY_INLINE void store(Vec v, Bfloat16* to, int64_t count) {
  const Lanes d;
  const hn::Rebind<uint16_t, Lanes> d16;
  const hn::Rebind<uint32_t, Lanes> d32;
  const hn::Rebind<int32_t, Lanes> di;
  // Rounded to nearest, ties to even; NaN stays NaN.
  const auto bits = hn::BitCast(d32, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(d32, 0x7FFF)), odd));
  const auto number = hn::BitCast(d, rounded), none = hn::BitCast(d, hn::Set(d32, 0x7FC0));
  const auto halves = hn::DemoteTo(d16, hn::BitCast(di, hn::IfThenElse(hn::Eq(v, v), number, none)));
  if (HWY_LIKELY(count >= kLanes)) return hn::StoreU(halves, d16, &to->bits);
#if HWY_TARGET <= HWY_AVX3
  return hn::BlendedStore(halves, hn::FirstN(d16, static_cast<size_t>(count)), d16, &to->bits);
#endif
  HWY_ALIGN uint16_t lanes[kLanes];
  hn::StoreU(halves, d16, lanes);
  for (int64_t i = 0; i < count; ++i) to[i].bits = lanes[i];
}

/// The same for fp16.
HWY_INLINE Vec load(const Float16* from, int64_t count) {
  const Lanes d;
  const hn::Rebind<hwy::float16_t, Lanes> d16;
  const hn::Rebind<uint16_t, Lanes> bits16;
  const auto widened = [&](const uint16_t* bits)
                           HWY_ATTR { return hn::PromoteTo(d, hn::BitCast(d16, hn::LoadU(bits16, bits))); };
  if (HWY_LIKELY(count >= kLanes)) return widened(&from->bits);
#if HWY_TARGET <= HWY_AVX3
  return hn::PromoteTo(d, hn::BitCast(d16, hn::MaskedLoad(hn::FirstN(bits16, static_cast<size_t>(count)),
                                                          bits16, &from->bits)));
#endif
  HWY_ALIGN uint16_t lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i].bits;
  return widened(lanes);
}
/// Rounded to nearest, ties to even; what is above its range becomes infinite, NaN stays NaN.
HWY_INLINE void store(Vec v, Float16* to, int64_t count) {
  const hn::Rebind<uint16_t, Lanes> bits16;
#if HWY_TARGET <= HWY_AVX2 || HWY_TARGET == HWY_NEON
  const hn::Rebind<hwy::float16_t, Lanes> d16;
  const auto halves = hn::BitCast(bits16, hn::DemoteTo(d16, v));
#else  // Highway cuts digits off here
  const Lanes d;
  const hn::Rebind<uint32_t, Lanes> d32;
  const hn::Rebind<int32_t, Lanes> di;
  const Vec size = hn::Abs(v);
  const auto bits = hn::BitCast(d32, size), sign = hn::ShiftRight<16>(hn::BitCast(d32, hn::Xor(v, size)));
  const auto odd = hn::And(hn::ShiftRight<13>(bits), hn::Set(d32, 1));
  const auto normal = hn::ShiftRight<13>(hn::Add(hn::Add(bits, hn::Set(d32, 0xC8000FFF)), odd));
  // A sum with 1/2 rounds to the spacing of the smallest halves.
  const auto tiny = hn::Sub(hn::BitCast(d32, hn::Add(size, hn::Set(d, 0.5f))), hn::Set(d32, 0x3F000000));
  const auto none = hn::IfThenElse(hn::Eq(v, v), hn::BitCast(d, hn::Set(d32, 0x7C00)),
                                   hn::BitCast(d, hn::Set(d32, 0x7E00)));
  const Vec in_range =
      hn::IfThenElse(hn::Lt(size, hn::Set(d, 0x1p-14f)), hn::BitCast(d, tiny), hn::BitCast(d, normal));
  const Vec all = hn::IfThenElse(hn::Lt(size, hn::Set(d, 0x1p16f)), in_range, none);
  const auto halves = hn::DemoteTo(bits16, hn::BitCast(di, hn::Or(hn::BitCast(d32, all), sign)));
#endif
  if (HWY_LIKELY(count >= kLanes)) return hn::StoreU(halves, bits16, &to->bits);
#if HWY_TARGET <= HWY_AVX3
  return hn::BlendedStore(halves, hn::FirstN(bits16, static_cast<size_t>(count)), bits16, &to->bits);
#endif
  HWY_ALIGN uint16_t lanes[kLanes];
  hn::StoreU(halves, bits16, lanes);
  for (int64_t i = 0; i < count; ++i) to[i].bits = lanes[i];
}

/// 2^(x * y), relative error 6e-8 besides the roundings of x * y and of the result. Needs |x|, |y|
/// <= 1e12. Underflow gives 0 or the smallest normal number.
struct Exp2 {
  HWY_INLINE Exp2() {}  // written out, because an implicit one is not compiled for the target

  const Lanes d{};
#if HWY_TARGET <= HWY_AVX3
  // 2^t = 2^floor(n) * 2^(n - floor(n)) * 2^(t - n), n = t rounded to 1/32: a shift of the exponent, a table
  // of 32 entries in two registers, a polynomial of degree 2.
  const Vec magic = hn::Set(d, 0x1.8p18f);  // the spacing of floats here is 1/32
  const Vec c1 = hn::Set(d, 0x1.62e586d0710c2p-1f);
  const Vec c2 = hn::Set(d, 0x1.ebfea8f441432p-3f);
  const Vec one = hn::Set(d, 1.0f);
  const Vec low = hn::LoadU(d, kPowers), high = hn::LoadU(d, kPowers + 16);

  HWY_INLINE Vec operator()(Vec x, Vec y) const {
    const Vec r = hn::MulAdd(x, y, magic);
    const Vec n = hn::Sub(r, magic);
    const Vec f = hn::MulSub(x, y, n);
    const Vec p = hn::MulAdd(hn::MulAdd(c2, f, c1), f, one);
    const __m512 power = _mm512_permutex2var_ps(low.raw, _mm512_castps_si512(r.raw), high.raw);
    return Vec{_mm512_scalef_ps(_mm512_mul_ps(power, p.raw), n.raw)};
  }

  static constexpr float kPowers[32] = {  // 2^(i/32)
      0x1p+0f,        0x1.059b0ep+0f, 0x1.0b5586p+0f, 0x1.11301ep+0f, 0x1.172b84p+0f, 0x1.1d4874p+0f,
      0x1.2387a6p+0f, 0x1.29e9ep+0f,  0x1.306fep+0f,  0x1.371a74p+0f, 0x1.3dea64p+0f, 0x1.44e086p+0f,
      0x1.4bfdaep+0f, 0x1.5342b6p+0f, 0x1.5ab07ep+0f, 0x1.6247ecp+0f, 0x1.6a09e6p+0f, 0x1.71f75ep+0f,
      0x1.7a1148p+0f, 0x1.82589ap+0f, 0x1.8ace54p+0f, 0x1.93737cp+0f, 0x1.9c4918p+0f, 0x1.a5503cp+0f,
      0x1.ae89fap+0f, 0x1.b7f77p+0f,  0x1.c199bep+0f, 0x1.cb720ep+0f, 0x1.d5818ep+0f, 0x1.dfc974p+0f,
      0x1.ea4afap+0f, 0x1.f50766p+0f};
#elif HWY_TARGET == HWY_AVX2
  // As above with n = t rounded to 1/8: a table of 8 entries in one register, a polynomial of degree 3. The
  // shift of the exponent is added to the entry, which holds the bits of 2^(i/8) less those that i brings.
  const Vec magic = hn::Set(d, 0x1.8p20f);  // the spacing of floats here is 1/8
  const Vec lowest = hn::Set(d, -126.0f), highest = hn::Set(d, 127.99f);
  const Vec c1 = hn::Set(d, 0x1.62e4311120fd6p-1f), c2 = hn::Set(d, 0x1.ec0c31371347ap-3f);
  const Vec c3 = hn::Set(d, 0x1.c6a0031578540p-5f), one = hn::Set(d, 1.0f);
  const hn::RebindToUnsigned<Lanes> du{};
  const hn::Vec<hn::RebindToUnsigned<Lanes>> powers = hn::LoadU(du, kPowers);

  HWY_INLINE Vec operator()(Vec x, Vec y) const {
    const Vec t = hn::Min(hn::Max(hn::Mul(x, y), lowest), highest);
    const Vec r = hn::Add(t, magic);
    const Vec f = hn::Sub(t, hn::Sub(r, magic));
    const Vec p = hn::MulAdd(hn::MulAdd(hn::MulAdd(c3, f, c2), f, c1), f, one);
    const auto bits = hn::BitCast(du, r);
    const decltype(bits) entry{_mm256_permutevar8x32_epi32(powers.raw, bits.raw)};
    return hn::Mul(p, hn::BitCast(d, hn::Add(entry, hn::ShiftLeft<20>(bits))));
  }

  static constexpr uint32_t kPowers[8] = {0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7,
                                          0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};
#else
  // 2^t = 2^n * 2^(t - n), n = t rounded to an integer: a sum in the exponent field, a polynomial of
  // degree 5.
  const Vec magic = hn::Set(d, 0x1.8p23f);
  const Vec lowest = hn::Set(d, -126.0f), highest = hn::Set(d, 127.99f);
  const Vec c1 = hn::Set(d, 0x1.62e4311733cb7p-1f), c2 = hn::Set(d, 0x1.ebfbe2c540d82p-3f);
  const Vec c3 = hn::Set(d, 0x1.c6ae72dfc2656p-5f), c4 = hn::Set(d, 0x1.3b270e6417bb2p-7f);
  const Vec c5 = hn::Set(d, 0x1.5f7276d80902p-10f), c6 = hn::Set(d, 0x1.470b4a7656448p-13f);
  const Vec one = hn::Set(d, 1.0f);

  HWY_INLINE Vec operator()(Vec x, Vec y) const {
    const hn::RebindToSigned<Lanes> di;
    const Vec t = hn::Min(hn::Max(hn::Mul(x, y), lowest), highest);
    const Vec r = hn::Add(t, magic);
    const Vec f = hn::Sub(t, hn::Sub(r, magic));
    Vec p = hn::MulAdd(c6, f, c5);
    p = hn::MulAdd(p, f, c4);
    p = hn::MulAdd(p, f, c3);
    p = hn::MulAdd(p, f, c2);
    p = hn::MulAdd(p, f, c1);
    p = hn::MulAdd(p, f, one);
    return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, r))));
  }
#endif
};

/// e^v for v <= 0, relative error below 2e-7; 0 below -86.5.
HWY_INLINE Vec exp_of_negative(Vec v) {
  const Lanes d;
  const hn::RebindToSigned<Lanes> di;
  const Vec magic = hn::Set(d, 0x1.8p23f);
  const Vec clamped = hn::Max(v, hn::Set(d, -86.5f));
  const Vec r = hn::MulAdd(clamped, hn::Set(d, 0x1.715476p+0f), magic);  // log2(e)
  const Vec n = hn::Sub(r, magic);
  // f = v - n ln 2, ln 2 in two parts so that the first product is exact.
  const Vec f =
      hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped));
  Vec p = hn::MulAdd(hn::Set(d, 0x1.5b66a12b91d63p-10f), f, hn::Set(d, 0x1.118574925fd3cp-7f));
  p = hn::MulAdd(p, f, hn::Set(d, 0x1.5560f821acfe5p-5f));
  p = hn::MulAdd(p, f, hn::Set(d, 0x1.55556f7112de0p-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 0x1.fffffe70481aap-2f));
  p = hn::MulAdd(hn::Mul(p, f), f, hn::Add(f, hn::Set(d, 1.0f)));
  const Vec power = hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, r))));
  return hn::IfThenZeroElse(hn::Lt(v, hn::Set(d, -86.5f)), power);
}

/// 1 / x for x within 1 .. 100, relative error below 2e-7.
HWY_INLINE Vec reciprocal(Vec x) {
  const Lanes d;
#if HWY_TARGET <= HWY_AVX3
  const Vec r = hn::ApproximateReciprocal(x);  // 14 bits, doubled by one step of Newton's method
  return hn::MulAdd(r, hn::NegMulAdd(x, r, hn::Set(d, 1.0f)), r);
#else
  return hn::Div(hn::Set(d, 1.0f), x);
#endif
}

/// log(1 + e^v) = max(v, 0) + log(1 + e^-|v|), the logarithm as 2 artanh(e / (2 + e)). Above 20 it equals v
/// in fp32, as the official threshold has it. `slope` receives its derivative, the logistic function.
HWY_INLINE Vec softplus(Vec v, Vec& slope) {
  const Lanes d;
  const Vec one = hn::Set(d, 1.0f);
  const Vec e = exp_of_negative(hn::Neg(hn::Abs(v)));
  const Vec s = hn::Mul(e, reciprocal(hn::Add(hn::Set(d, 2.0f), e)));
  const Vec q = hn::Mul(s, s);
  Vec p = hn::MulAdd(hn::Set(d, 0x1.1ed7be4fed103p-3f), q, hn::Set(d, 0x1.1ebd0d61b9202p-3f));
  p = hn::MulAdd(p, q, hn::Set(d, 0x1.99d20849bef24p-3f));
  p = hn::MulAdd(p, q, hn::Set(d, 0x1.55550151c3069p-2f));
  p = hn::MulAdd(p, q, one);
  slope = hn::Mul(hn::IfThenElse(hn::Ge(v, hn::Zero(d)), one, e), reciprocal(hn::Add(one, e)));
  return hn::MulAdd(hn::Add(s, s), p, hn::Max(v, hn::Zero(d)));
}

/// 1 / (1 + e^-v)
HWY_INLINE Vec logistic(Vec v) {
  const Lanes d;
  const Vec one = hn::Set(d, 1.0f);
  const Vec e = exp_of_negative(hn::Neg(hn::Abs(v)));
  return hn::Mul(hn::IfThenElse(hn::Ge(v, hn::Zero(d)), one, e), reciprocal(hn::Add(one, e)));
}

/// v / (1 + e^-v)
HWY_INLINE Vec silu(Vec v) { return hn::Mul(v, logistic(v)); }

/// Lane i of the result: the sum over the lanes of the vector at rows + i * kLanes (aligned).
HWY_INLINE Vec sum_rows(const float* rows) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Load(Lanes(), rows);
#else
  const Lanes d;
  const hn::Repartition<double, Lanes> pairs;
  // Four rows at a time: lane j of every 128-bit block gets the block's sum of row j.
  const auto blocks_of_four = [&](const float* r) HWY_ATTR {
    const Vec a = hn::Load(d, r), b = hn::Load(d, r + kLanes);
    const Vec e = hn::Load(d, r + 2 * kLanes), f = hn::Load(d, r + 3 * kLanes);
    const Vec ab = hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
    const Vec ef = hn::Add(hn::InterleaveLower(d, e, f), hn::InterleaveUpper(d, e, f));
    const auto lower = hn::InterleaveLower(pairs, hn::BitCast(pairs, ab), hn::BitCast(pairs, ef));
    const auto upper = hn::InterleaveUpper(pairs, hn::BitCast(pairs, ab), hn::BitCast(pairs, ef));
    return hn::Add(hn::BitCast(d, lower), hn::BitCast(d, upper));
  };
#if HWY_TARGET <= HWY_AVX3
  const auto pair_of = [&](Vec a, Vec b) HWY_ATTR {
    return Vec{
        _mm512_add_ps(_mm512_shuffle_f32x4(a.raw, b.raw, 0x44), _mm512_shuffle_f32x4(a.raw, b.raw, 0xEE))};
  };
  const Vec a = pair_of(blocks_of_four(rows), blocks_of_four(rows + 4 * kLanes));
  const Vec b = pair_of(blocks_of_four(rows + 8 * kLanes), blocks_of_four(rows + 12 * kLanes));
  return Vec{
      _mm512_add_ps(_mm512_shuffle_f32x4(a.raw, b.raw, 0x88), _mm512_shuffle_f32x4(a.raw, b.raw, 0xDD))};
#elif HWY_TARGET == HWY_AVX2
  const Vec a = blocks_of_four(rows), b = blocks_of_four(rows + 4 * kLanes);
  return hn::Add(hn::ConcatLowerLower(d, b, a), hn::ConcatUpperUpper(d, b, a));
#else
  return blocks_of_four(rows);
#endif
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#endif
