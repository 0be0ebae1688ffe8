#include "mambaseg/kernels/row_summary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace mambaseg {
namespace {

template <class T>
class RowSummary : public testing::Test {};
using Types = testing::Types<float, Bfloat16>;
TYPED_TEST_SUITE(RowSummary, Types);

template <class T>
T number(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return to_bfloat16(x);
}

/// Halves from -3 to 3, which bf16 holds and of which many are equal; all below zero in every third row.
template <class T>
std::vector<T> rows_of_halves(int64_t rows, int64_t channels) {
  std::mt19937 engine(1);
  std::vector<T> x;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < channels; ++c) {
      const float half = static_cast<float>(engine() % 13) / 2 - 3;
      x.push_back(number<T>(r % 3 == 0 ? -std::abs(half) - 0.5f : half));
    }
  return x;
}

TYPED_TEST(RowSummary, IsMeanAndMaximumAndTheirGradients) {
  using T = TypeParam;
  const double rounding = std::is_same_v<T, float> ? 0x1p-24 : 0x1p-8;
  for (const SimdTarget target : supported_targets())
    for (const int64_t channels : {1, 3, 16, 40, 64, 67})
      for (const int64_t rows : {1, 5}) {
        const std::vector<T> x = rows_of_halves<T>(rows, channels);
        const auto count = static_cast<size_t>(rows * channels);
        std::vector<T> y(static_cast<size_t>(2 * rows + 1), number<T>(9)), dx(count + 1, number<T>(9)), dy;
        for (int64_t i = 0; i < 2 * rows; ++i) dy.push_back(number<T>(1.5f - 0.25f * static_cast<float>(i)));
        summarise_rows(x.data(), rows, channels, y.data(), target);
        summarise_rows_gradient(x.data(), y.data(), dy.data(), rows, channels, dx.data(), target);
        for (int64_t r = 0; r < rows; ++r) {
          const auto at = static_cast<size_t>(r);
          double sum = 0, largest = -1e9, holders = 0;
          for (int64_t c = 0; c < channels; ++c) {
            const double v = to_float(x[at * static_cast<size_t>(channels) + static_cast<size_t>(c)]);
            sum += v, holders = v > largest ? 1 : holders + (v == largest), largest = std::max(largest, v);
          }
          const double mean = sum / static_cast<double>(channels);  // of sums that are exact
          EXPECT_NEAR(to_float(y[2 * at]), mean, (rounding + 2 * 0x1p-24) * std::abs(mean)) << target.name;
          EXPECT_EQ(to_float(y[2 * at + 1]), largest) << target.name;
          const double everywhere = to_float(dy[2 * at]) / static_cast<double>(channels),
                       share = to_float(dy[2 * at + 1]) / holders;
          for (int64_t c = 0; c < channels; ++c) {
            const size_t i = at * static_cast<size_t>(channels) + static_cast<size_t>(c);
            const double expected = everywhere + (to_float(x[i]) == largest ? share : 0);
            EXPECT_NEAR(
                to_float(dx[i]), expected,
                rounding * std::abs(expected) + 4 * 0x1p-24 * (std::abs(everywhere) + std::abs(share)))
                << target.name;
          }
        }
        EXPECT_EQ(to_float(y.back()), 9.0f);
        EXPECT_EQ(to_float(dx.back()), 9.0f);
      }
}

}  // namespace
}  // namespace mambaseg
