#include "mambaseg/kernels/channels_last.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace mambaseg {
namespace {

/// The bf16 number nearest to x, ties to even: the specification of the kernels' rounding.
Bfloat16 rounded(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (std::isnan(x)) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
float value(Bfloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}
float value(float x) { return x; }

template <class T>
T number(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return rounded(x);
}

template <class T>
std::vector<T> random_numbers(int64_t count, unsigned seed, float offset = 0) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(offset, 1);
  std::vector<T> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(number<T>(normal(engine)));
  return out;
}

/// Relative error of one rounding to T.
template <class T>
constexpr double kRounding = std::is_same_v<T, float> ? 0x1p-24 : 0x1p-8;

template <class T>
class ChannelsLast : public testing::Test {};
using Types = testing::Types<float, Bfloat16>;
TYPED_TEST_SUITE(ChannelsLast, Types);

const int64_t kChannels[] = {1, 3, 16, 40, 64, 67};

TYPED_TEST(ChannelsLast, MomentsEqualSumsInDouble) {
  for (const SimdTarget target : supported_targets())
    for (const int64_t channels : kChannels)
      for (const int64_t rows : {1, 2, 7, 256}) {
        const auto x = random_numbers<TypeParam>(rows * channels, 1, 5);
        const std::vector<float> shift(static_cast<size_t>(channels), 4.75f);
        std::vector<float> sum(shift.size()), square(shift.size());
        channel_moments(x.data(), rows, channels, shift.data(), sum.data(), square.data(), target);
        for (int64_t c = 0; c < channels; ++c) {
          double s = 0, q = 0, magnitude = 0;
          for (int64_t r = 0; r < rows; ++r) {
            const double v = value(x[size_t(r * channels + c)]) - 4.75;
            s += v, q += v * v, magnitude += std::abs(v);
          }
          const double roundings = static_cast<double>(rows) / 2 + 2;  // of the two chains
          EXPECT_NEAR(sum[size_t(c)], s, roundings * 0x1p-24 * (magnitude + 1e-6)) << target.name;
          EXPECT_NEAR(square[size_t(c)], q, (roundings + 2) * 0x1p-24 * (q + 1e-6)) << target.name;
        }
      }
}

TYPED_TEST(ChannelsLast, ScaleShiftEqualsTheFormula) {
  for (const SimdTarget target : supported_targets())
    for (const int64_t channels : kChannels)
      for (const float slope : {1.0f, 0.0f, 0.01f})
        for (const bool with_residual : {false, true}) {
          const int64_t rows = 37;
          const auto x = random_numbers<TypeParam>(rows * channels, 2),
                     residual = random_numbers<TypeParam>(rows * channels, 3);
          const auto scale = random_numbers<float>(channels, 4), shift = random_numbers<float>(channels, 5);
          std::vector<TypeParam> y(x.size());
          scale_shift(x.data(), with_residual ? residual.data() : nullptr, rows, channels, scale.data(),
                      shift.data(), slope, y.data(), target);
          for (size_t i = 0; i < x.size(); ++i) {
            const size_t c = i % size_t(channels);
            const double product = double(value(x[i])) * scale[c],
                         plus = with_residual ? value(residual[i]) : 0;
            double expected = product + shift[c] + plus;
            if (expected < 0) expected *= slope;
            const double sums = std::abs(product) + std::abs(shift[c]) + std::abs(plus);
            EXPECT_NEAR(value(y[i]), expected,
                        3 * 0x1p-24 * sums + kRounding<TypeParam> * std::abs(expected) + 1e-12)
                << target.name << " " << channels;
          }
        }
}

TYPED_TEST(ChannelsLast, GradientsOfScaleShiftEqualTheFormula) {
  for (const SimdTarget target : supported_targets())
    for (const int64_t channels : kChannels)
      for (const float slope : {1.0f, 0.0f, 0.01f}) {
        const int64_t rows = 37;
        const auto x = random_numbers<TypeParam>(rows * channels, 10),
                   y = random_numbers<TypeParam>(rows * channels, 11),
                   dy = random_numbers<TypeParam>(rows * channels, 12);
        const auto middle = random_numbers<float>(channels, 13), by_g = random_numbers<float>(channels, 14),
                   by_x = random_numbers<float>(channels, 15), offset = random_numbers<float>(channels, 16);
        std::vector<float> sum(static_cast<size_t>(channels)), product(sum.size());
        std::vector<TypeParam> dx(x.size());
        scale_shift_sums(x.data(), y.data(), dy.data(), rows, channels, middle.data(), slope, sum.data(),
                         product.data(), target);
        scale_shift_gradient(x.data(), y.data(), dy.data(), rows, channels, slope, by_g.data(), by_x.data(),
                             offset.data(), dx.data(), target);
        for (size_t c = 0; c < sum.size(); ++c) {
          double s = 0, p = 0, magnitude = 0;
          for (size_t i = c; i < x.size(); i += sum.size()) {
            const double g = value(y[i]) > 0 ? value(dy[i]) : double(slope) * value(dy[i]);
            const double of_x = double(value(x[i])) - middle[c];
            s += g, p += g * of_x, magnitude += std::abs(g) * (1 + std::abs(of_x));
            const double expected = g * by_g[c] + double(value(x[i])) * by_x[c] + offset[c];
            const double sums = std::abs(g * by_g[c]) + std::abs(value(x[i]) * by_x[c]) + std::abs(offset[c]);
            EXPECT_NEAR(value(dx[i]), expected,
                        3 * 0x1p-24 * sums + kRounding<TypeParam> * std::abs(expected) + 1e-12)
                << target.name << " " << channels;
          }
          EXPECT_NEAR(sum[c], s, (rows + 2) * 0x1p-24 * magnitude) << target.name;
          EXPECT_NEAR(product[c], p, (rows + 2) * 0x1p-24 * magnitude) << target.name;
        }
      }
}

TYPED_TEST(ChannelsLast, NormRowsEqualsTheFormula) {
  for (const SimdTarget target : supported_targets())
    for (const int64_t channels : kChannels) {
      const int64_t rows = 5;
      const auto x = random_numbers<TypeParam>(rows * channels, 6, 2);
      const auto weight = random_numbers<float>(channels, 7), bias = random_numbers<float>(channels, 8);
      std::vector<TypeParam> y(x.size());
      norm_rows(x.data(), rows, channels, weight.data(), bias.data(), 1e-5f, y.data(), target);
      for (int64_t r = 0; r < rows; ++r) {
        double mean = 0, variance = 0;
        const auto at = [&](int64_t c) { return double(value(x[size_t(r * channels + c)])); };
        for (int64_t c = 0; c < channels; ++c) mean += at(c) / double(channels);
        for (int64_t c = 0; c < channels; ++c) variance += (at(c) - mean) * (at(c) - mean) / double(channels);
        for (int64_t c = 0; c < channels; ++c) {
          const double expected =
              (at(c) - mean) / std::sqrt(variance + 1e-5) * weight[size_t(c)] + bias[size_t(c)];
          EXPECT_NEAR(value(y[size_t(r * channels + c)]), expected,
                      2e-5 * (1 + std::abs(weight[size_t(c)])) + kRounding<TypeParam> * std::abs(expected))
              << target.name << " " << channels;
        }
      }
    }
}

TYPED_TEST(ChannelsLast, HalveRowsTakesTheLargest) {
  for (const SimdTarget target : supported_targets())
    for (const int64_t channels : kChannels)
      for (const int64_t row_count : {2, 4}) {
        const int64_t outputs = 3;
        const auto x = random_numbers<TypeParam>(row_count * 2 * outputs * channels, 9);
        std::vector<const TypeParam*> rows;
        for (int64_t r = 0; r < row_count; ++r) rows.push_back(x.data() + r * 2 * outputs * channels);
        std::vector<TypeParam> y(size_t(outputs * channels));
        halve_rows(rows.data(), row_count, outputs, channels, y.data(), target);
        for (int64_t i = 0; i < outputs * channels; ++i) {
          float expected = -std::numeric_limits<float>::infinity();
          for (const TypeParam* row : rows)
            for (const int64_t step : {0, 1})
              expected =
                  std::max(expected, value(row[(2 * (i / channels) + step) * channels + i % channels]));
          EXPECT_EQ(value(y[size_t(i)]), expected) << target.name;
        }
      }
}

TEST(ChannelsLastRounding, Bf16IsRoundedToNearestEven) {
  const std::vector<float> numbers{0.0f,        -0.0f,        1.0f,
                                   1.00390625f, 1.01171875f,  1.005f,
                                   -3.3e38f,    3.4e38f,      std::numeric_limits<float>::infinity(),
                                   1e-40f,      -1.00390625f, 2.5e-5f};
  const auto count = static_cast<int64_t>(numbers.size());
  // What enters is bf16, so the numbers come in through the shift.
  const std::vector<Bfloat16> zeros(numbers.size());
  const std::vector<float> ones(numbers.size(), 1.0f);
  for (const SimdTarget target : supported_targets()) {
    std::vector<Bfloat16> y(numbers.size());
    scale_shift(zeros.data(), nullptr, 1, count, ones.data(), numbers.data(), 1, y.data(), target);
    for (size_t i = 0; i < numbers.size(); ++i)
      EXPECT_EQ(value(y[i]), value(rounded(numbers[i]))) << target.name << " " << numbers[i];
  }
}

}  // namespace
}  // namespace mambaseg
