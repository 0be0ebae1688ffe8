#include "mambaseg/kernels/line_resampling.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/line_resampling_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h, and anew for each target
#include "hwy/highway.h"
#include "mambaseg/kernels/simd_dispatch.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::CappedTag<double, kLinesAtOnce / 2>;
using Floats = hn::Rebind<float, Doubles>;

/// Two vectors: while one waits for its last operation, the other is worked on.
struct Pair {
  hn::Vec<Doubles> a, b;
};
constexpr int64_t kLanes = hn::MaxLanes(Doubles()), kPair = 2 * kLanes;
static_assert(kLinesAtOnce % kPair == 0);

HWY_INLINE Pair load(const double* from) {
  const Doubles d;
  return {hn::LoadU(d, from), hn::LoadU(d, from + kLanes)};
}
HWY_INLINE void store(Pair v, double* to) {
  const Doubles d;
  hn::StoreU(v.a, d, to);
  hn::StoreU(v.b, d, to + kLanes);
}
HWY_INLINE Pair sum_of(Pair x, Pair y) { return {hn::Add(x.a, y.a), hn::Add(x.b, y.b)}; }
HWY_INLINE Pair difference(Pair x, Pair y) { return {hn::Sub(x.a, y.a), hn::Sub(x.b, y.b)}; }
HWY_INLINE Pair times(double factor, Pair x) {
  const auto f = hn::Set(Doubles(), factor);
  return {hn::Mul(f, x.a), hn::Mul(f, x.b)};
}
HWY_INLINE Pair over(Pair x, double divisor) {
  const auto f = hn::Set(Doubles(), divisor);
  return {hn::Div(x.a, f), hn::Div(x.b, f)};
}

// Causal and anti-causal recursion with whole-sample mirror symmetry, gain included.
void coefficients(double* lines, int64_t n) {
  if (n == 1) return;
  const double pole = std::sqrt(3.0) - 2;  // of the cubic B-spline filter
  const double last_power = std::pow(pole, static_cast<double>(n - 1));
  for (int64_t c = 0; c < kLinesAtOnce; c += kPair) {
    const auto at = [&](int64_t i) { return lines + i * kLinesAtOnce + c; };
    for (int64_t i = 0; i < n; ++i) store(times(6, load(at(i))), at(i));
    // Sum over the mirrored period 2n - 2, in closed form.
    double power = pole;
    Pair sum = sum_of(load(at(0)), times(last_power, load(at(n - 1))));
    for (int64_t i = 1; i < n - 1; ++i) {
      sum = sum_of(sum, times(power, sum_of(load(at(i)), times(last_power, load(at(n - 1 - i))))));
      power *= pole;
    }
    Pair v = over(sum, 1 - last_power * last_power);
    store(v, at(0));
    for (int64_t i = 1; i < n - 1; ++i) {
      v = sum_of(load(at(i)), times(pole, v));
      store(v, at(i));
    }
    const Pair before = v;  // the last sum of the first recursion takes part in both terms below
    v = sum_of(load(at(n - 1)), times(pole, before));
    v = times(pole / (pole * pole - 1), sum_of(v, times(pole, before)));
    store(v, at(n - 1));
    for (int64_t i = n - 2; i >= 0; --i) {
      v = times(pole, difference(v, load(at(i))));
      store(v, at(i));
    }
  }
}

HWY_INLINE void store_within(hn::Vec<Doubles> v, const float* low, const float* high, float* to) {
  const Floats d;
  const auto value = hn::DemoteTo(d, v), least = hn::LoadU(d, low), most = hn::LoadU(d, high);
  hn::StoreU(hn::IfThenElse(hn::Lt(value, least), least, hn::IfThenElse(hn::Lt(most, value), most, value)), d,
             to);
}

void weighted(const double* lines, const Tap* taps, int64_t each, int64_t count, const float* low,
              const float* high, float* out, int64_t step) {
  for (int64_t i = 0; i < count; ++i, taps += each, out += step)
    for (int64_t c = 0; c < kLinesAtOnce; c += kPair) {
      Pair sum{hn::Zero(Doubles()), hn::Zero(Doubles())};
      for (int64_t t = 0; t < each; ++t)
        sum = sum_of(sum, times(taps[t].weight, load(lines + taps[t].index * kLinesAtOnce + c)));
      store_within(sum.a, low + c, high + c, out + c);
      store_within(sum.b, low + c + kLanes, high + c + kLanes, out + c + kLanes);
    }
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(coefficients);
HWY_EXPORT(weighted);

void spline_coefficients(double* lines, int64_t n, SimdTarget target) {
  HWY_DISPATCH_TABLE(coefficients)[table_index(target)](lines, n);
}

void weighted_lines(const double* lines, const Tap* taps, int64_t each, int64_t count, const float* low,
                    const float* high, float* out, int64_t step, SimdTarget target) {
  HWY_DISPATCH_TABLE(weighted)[table_index(target)](lines, taps, each, count, low, high, out, step);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
