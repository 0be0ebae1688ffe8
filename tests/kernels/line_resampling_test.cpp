#include "mambaseg/kernels/line_resampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace mambaseg {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

std::vector<double> drawn_lines(int64_t n) {
  std::mt19937 random(static_cast<uint32_t>(n));
  std::uniform_real_distribution<double> values(-1, 1);
  std::vector<double> out(static_cast<size_t>(n * kLinesAtOnce));
  std::generate(out.begin(), out.end(), [&] { return values(random); });
  return out;
}

double at(const std::vector<double>& lines, int64_t i, int64_t line) {
  return lines[static_cast<size_t>(i * kLinesAtOnce + line)];
}

// A cubic B-spline is 1/6, 4/6, 1/6 at three whole numbers (Unser 1999), so these parts of the coefficients
// give the values back. The filters amplify a rounding by less than 6 (1 + |z| + |z|^2 + ...)^2 = 11.2.
TEST(LineResampling, SplinesPassThroughTheValues) {
  for (const SimdTarget& target : supported_targets())
    for (const int64_t n : {2, 3, 5, 40, 700}) {
      const std::vector<double> values = drawn_lines(n);
      std::vector<double> c = values;
      spline_coefficients(c.data(), n, target);
      for (int64_t i = 0; i < n; ++i)
        for (int64_t line = 0; line < kLinesAtOnce; ++line) {
          const double before = at(c, i == 0 ? 1 : i - 1, line),
                       behind = at(c, i == n - 1 ? n - 2 : i + 1, line);
          EXPECT_NEAR((before + 4 * at(c, i, line) + behind) / 6, at(values, i, line), 4 * 11.2 * kEpsilon)
              << target.name << ", voxel " << i << " of " << n;
        }
    }
}

TEST(LineResampling, OneVoxelIsItsOwnCoefficient) {
  const std::vector<double> values = drawn_lines(1);
  std::vector<double> c = values;
  spline_coefficients(c.data(), 1);
  EXPECT_EQ(c, values);
}

TEST(LineResampling, WeightedSumsStayWithinTheirBounds) {
  constexpr int64_t kOld = 9, kNew = 5, kStep = kLinesAtOnce + 3;
  const std::vector<double> lines = drawn_lines(kOld);
  for (const int64_t each : {1, 2, 4}) {
    std::vector<Tap> taps;
    for (int64_t t = 0; t < kNew * each; ++t) taps.push_back({t % kOld, 0.1 + 0.05 * static_cast<double>(t)});
    std::vector<float> low(kLinesAtOnce), high(kLinesAtOnce);
    for (size_t c = 0; c < kLinesAtOnce; ++c) {
      low[c] = -0.02f * static_cast<float>(c);
      high[c] = 0.3f;
    }
    for (const SimdTarget& target : supported_targets()) {
      std::vector<float> out(kNew * kStep, 99);
      weighted_lines(lines.data(), taps.data(), each, kNew, low.data(), high.data(), out.data(), kStep,
                     target);
      for (int64_t i = 0; i < kNew; ++i)
        for (int64_t c = 0; c < kStep; ++c) {
          double sum = 0;
          for (int64_t t = 0; c < kLinesAtOnce && t < each; ++t) {
            const Tap& tap = taps[static_cast<size_t>(i * each + t)];
            sum += tap.weight * at(lines, tap.index, c);
          }
          const float expected = c < kLinesAtOnce
                                     ? std::clamp(static_cast<float>(sum), low[size_t(c)], high[size_t(c)])
                                     : 99;  // nothing is written between the rows
          EXPECT_FLOAT_EQ(out[size_t(i * kStep + c)], expected) << target.name << ", " << each << " taps";
        }
    }
  }
}

TEST(LineResampling, EveryTargetGivesTheSameBits) {
  constexpr int64_t kVoxels = 50;
  std::vector<Tap> taps;
  for (int64_t t = 0; t < 4 * kVoxels; ++t)
    taps.push_back({t * 7 % kVoxels, 1.0 / static_cast<double>(t + 3)});
  const std::vector<float> low(kLinesAtOnce, -1), high(kLinesAtOnce, 1);
  std::vector<float> first;
  for (const SimdTarget& target : supported_targets()) {
    std::vector<double> c = drawn_lines(kVoxels);
    spline_coefficients(c.data(), kVoxels, target);
    std::vector<float> out(kVoxels * kLinesAtOnce);
    weighted_lines(c.data(), taps.data(), 4, kVoxels, low.data(), high.data(), out.data(), kLinesAtOnce,
                   target);
    if (first.empty()) first = out;
    EXPECT_EQ(out, first) << target.name;
  }
}

}  // namespace
}  // namespace mambaseg
