#include "mambaseg/data/intensity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/core/random.h"

namespace mambaseg {
namespace {

TEST(RobustRange, WorkedExample) {
  // 10000 voxels 0..9999: bins of 9.999, 9 of the 9999 non-zero voxels may lie above: 9991 voxels at or
  // below.
  std::vector<int16_t> values(10000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int16_t>(i);
  const IntensityRange range = robust_range(values);
  EXPECT_EQ(range.low, 0);
  // Bin 999 holds 9990..9999 (its lower edge is 9989.001), so the sum reaches 9991 with the last bin: 1000
  // - 2.
  EXPECT_NEAR(255 / range.scale, 998 * 9.999, 1e-9);
}

TEST(RobustRange, OneOutlierDoesNotTurnTheImageBlack) {
  std::vector<float> values(4000, 0.0F);
  for (size_t i = 0; i < 3000; ++i) values[i] = 100.0F;
  values.back() = 1e6F;
  const IntensityRange range = robust_range(values);
  EXPECT_GT(range.scale, 0);
  EXPECT_GT(rescaled_to_byte(100, range), 0);
}

TEST(RobustRange, RefusesConstantImages) {
  EXPECT_THROW(robust_range(std::vector<uint8_t>(10, 3)), Error);
  EXPECT_THROW(robust_range(std::vector<float>{}), Error);
}

TEST(Rescaled, RoundsHalfToEvenAndClips) {
  const IntensityRange range{10, 0.5};
  EXPECT_EQ(rescaled_to_byte(11, range), 0);  // 0.5
  EXPECT_EQ(rescaled_to_byte(13, range), 2);  // 1.5
  EXPECT_EQ(rescaled_to_byte(15, range), 2);  // 2.5
  EXPECT_EQ(rescaled_to_byte(-5, range), 0);
  EXPECT_EQ(rescaled_to_byte(5000, range), 255);
}

TEST(ZScore, MeanZeroDeviationOneOverNonZero) {
  Random random(3);
  std::vector<float> values(1000, 0.0F);
  for (size_t i = 100; i < 700; ++i) values[i] = static_cast<float>(50 + 9 * random.normal());
  z_score_nonzero(values);
  double sum = 0, squares = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i < 100 || i >= 700) {
      ASSERT_EQ(values[i], 0);
    }
    sum += values[i];
    squares += values[i] * values[i];
  }
  EXPECT_NEAR(sum / 600, 0, 1e-6);
  EXPECT_NEAR(squares / 600, 1, 1e-5);
  std::vector<float> zeros(5, 0.0F), same(5, 2.0F);
  EXPECT_THROW(z_score_nonzero(zeros), Error);
  EXPECT_THROW(z_score_nonzero(same), Error);
}

TEST(ZScore, OverAMaskLeavesTheRestAlone) {
  std::vector<float> values{1, 2, 3, 50};
  z_score(values, {1, 1, 1, 0});
  EXPECT_FLOAT_EQ(values[0], -std::sqrt(1.5F));
  EXPECT_FLOAT_EQ(values[1], 0);
  EXPECT_EQ(values[3], 50);
  std::vector<float> constant(5, 7);
  z_score(constant);
  EXPECT_EQ(constant, std::vector<float>(5, 0));
  EXPECT_THROW(z_score(values, {0, 0, 0, 0}), Error);
}

TEST(Unit, RunsFromZeroToOne) {
  std::vector<float> values{-2, 0, 6};
  rescale_to_unit(values);
  EXPECT_EQ(values, (std::vector<float>{0, 0.25, 1}));
}

}  // namespace
}  // namespace mambaseg
