#include "mambaseg/kernels/curves.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace mambaseg {
namespace {

float value(float x) { return x; }
float value(Bfloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}
template <class T>
T number(double x) {
  if constexpr (std::is_same_v<T, float>) {
    return static_cast<float>(x);
  } else {
    const auto single = static_cast<float>(x);
    uint32_t bits;
    std::memcpy(&bits, &single, sizeof bits);
    return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
  }
}

/// Relative error of one rounding to T.
template <class T>
constexpr double kRounding = std::is_same_v<T, float> ? 0x1p-24 : 0x1p-8;

struct Exact {
  double value, slope;
};
Exact exact(Curve curve, double x) {
  const double logistic = 1 / (1 + std::exp(-x));
  if (curve == Curve::sigmoid) return {logistic, logistic * (1 - logistic)};
  if (curve == Curve::silu) return {x * logistic, logistic * (1 + x * (1 - logistic))};
  const double normal = std::erfc(-x / std::sqrt(2.0)) / 2;
  return {x * normal, normal + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI)};
}

/// Of the exponential (2e-7) and of at most twelve roundings; what an exponent of x^2 / 2 or x loses by its
/// own rounding is 2^-24 of it. Values that small are flushed to zero below e^-86.
double allowed(double x, double result) {
  const double exponent = std::min(87.0, std::max(std::abs(x), x * x / 2));
  return (2e-7 + 12 * 0x1p-24 + 2 * exponent * 0x1p-24) * std::abs(result) + 2e-36;
}

/// Every 1 / 61 from -20 to 20, the middle more finely, so that no lane is special.
std::vector<double> places() {
  std::vector<double> x;
  for (int i = -1220; i <= 1220; ++i) x.push_back(i / 61.0);
  for (int i = -50; i <= 50; ++i) x.push_back(i / 3001.0);
  return x;
}

template <class X, class Y>
struct Types {
  using Of = X;
  using With = Y;
};
template <class T>
class Curves : public testing::Test {};
using AllTypes = testing::Types<Types<float, float>, Types<Bfloat16, Bfloat16>, Types<Bfloat16, float>>;
TYPED_TEST_SUITE(Curves, AllTypes);

constexpr Curve kCurves[] = {Curve::gelu, Curve::silu, Curve::sigmoid};

TYPED_TEST(Curves, EqualTheFormulaInDouble) {
  using X = typename TypeParam::Of;
  using Y = typename TypeParam::With;
  std::vector<X> x;
  for (const double place : places()) x.push_back(number<X>(place));
  const CurveRows rows{1, static_cast<int64_t>(x.size()), 0};
  std::vector<Y> factor, dy, y(x.size()), dfactor(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    factor.push_back(number<Y>(1.25 - 0.001 * double(i))), dy.push_back(number<Y>(-0.7 + 0.002 * double(i)));
  std::vector<X> dx(x.size());
  for (const SimdTarget target : supported_targets())
    for (const Curve curve : kCurves)
      for (const bool gates : {false, true}) {
        const Y* with = gates ? factor.data() : nullptr;
        curve_values(curve, rows, x.data(), with, y.data(), target);
        curve_gradient(curve, rows, x.data(), with, dy.data(), dx.data(), gates ? dfactor.data() : nullptr,
                       target);
        for (size_t i = 0; i < x.size(); ++i) {
          const double at = value(x[i]), by = gates ? value(factor[i]) : 1, given = value(dy[i]);
          const Exact e = exact(curve, at);
          const double bound = allowed(at, e.value), kept = kRounding<Y>;
          EXPECT_NEAR(value(y[i]), e.value * by, std::abs(by) * bound + kept * std::abs(e.value * by))
              << target.name << ", x " << at;
          // Near its zero the slope is a difference of terms up to |x|.
          const double parts = allowed(
              at, std::abs(e.slope) + std::abs(e.value) + std::abs(at) * 0.4 * std::exp(-at * at / 2));
          EXPECT_NEAR(value(dx[i]), given * by * e.slope,
                      std::abs(given * by) * parts + 1.01 * kRounding<X> * std::abs(given * by * e.slope))
              << target.name << ", x " << at;
          if (!gates) continue;
          EXPECT_NEAR(value(dfactor[i]), given * e.value,
                      std::abs(given) * bound + 1.01 * kept * std::abs(given * e.value))
              << target.name << ", x " << at;
        }
      }
}

TYPED_TEST(Curves, RowsOfAWiderTensorAreReadAndNothingBehindThem) {
  using X = typename TypeParam::Of;
  using Y = typename TypeParam::With;
  for (const SimdTarget target : supported_targets())
    for (const int64_t channels : {1, 5, 16, 40}) {
      const CurveRows rows{3, channels, channels + 7};
      const auto count = static_cast<size_t>(rows.rows * channels);
      std::vector<X> x(static_cast<size_t>(rows.rows * rows.stride - 7)), dx(count + 1, number<X>(9));
      for (size_t i = 0; i < x.size(); ++i) x[i] = number<X>(0.01 * double(i) - 0.3);
      std::vector<Y> factor(count), y(count + 1, number<Y>(9)), dfactor(count + 1, number<Y>(9));
      for (size_t i = 0; i < count; ++i) factor[i] = number<Y>(0.02 * double(i));
      curve_values(Curve::silu, rows, x.data(), factor.data(), y.data(), target);
      curve_gradient(Curve::silu, rows, x.data(), factor.data(), factor.data(), dx.data(), dfactor.data(),
                     target);
      for (size_t i = 0; i < count; ++i) {
        const auto row = static_cast<int64_t>(i) / channels, c = static_cast<int64_t>(i) % channels;
        const double at = value(x[static_cast<size_t>(row * rows.stride + c)]), by = value(factor[i]);
        const Exact e = exact(Curve::silu, at);
        const double near = 0x1p-20 + 2.01 * kRounding<Y>;
        EXPECT_NEAR(value(y[i]), e.value * by, near * std::abs(e.value * by) + 1e-7) << target.name;
        EXPECT_NEAR(value(dfactor[i]), e.value * by, near * std::abs(e.value * by) + 1e-7) << target.name;
        EXPECT_NEAR(value(dx[i]), e.slope * by * by,
                    (0x1p-20 + 2.01 * kRounding<X>)*std::abs(e.slope * by * by) + 1e-7)
            << target.name;
      }
      EXPECT_EQ(value(y[count]), 9.0f);
      EXPECT_EQ(value(dx[count]), 9.0f);
      EXPECT_EQ(value(dfactor[count]), 9.0f);
    }
}

TEST(Curves, InfinityAndWhatIsNoNumber) {
  const float infinite = std::numeric_limits<float>::infinity();
  const std::vector<float> x{infinite, -200.0f, std::nanf(""), 0.0f};
  std::vector<float> y(4), dx(4), ones(4, 1.0f);
  for (const SimdTarget target : supported_targets())
    for (const Curve curve : kCurves) {
      curve_values(curve, {1, 4, 0}, x.data(), nullptr, y.data(), target);
      curve_gradient(curve, {1, 4, 0}, x.data(), nullptr, ones.data(), dx.data(), nullptr, target);
      EXPECT_EQ(y[0], curve == Curve::sigmoid ? 1.0f : infinite) << target.name;
      EXPECT_NEAR(y[1], 0, 1e-35) << target.name;
      EXPECT_NEAR(dx[1], 0, 1e-35) << target.name;
      EXPECT_TRUE(std::isnan(y[2])) << target.name;
      EXPECT_TRUE(std::isnan(dx[2])) << target.name;
      EXPECT_EQ(y[3], curve == Curve::sigmoid ? 0.5f : 0.0f) << target.name;
    }
}

}  // namespace
}  // namespace mambaseg
