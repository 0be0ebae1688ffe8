#include "mambaseg/train/schedule.h"

#include <cmath>

#include <gtest/gtest.h>

namespace mambaseg {
namespace {

TEST(Schedule, CosineRestartsWithGrowingPeriods) {
  ScheduleSettings settings;  // periods of 10, 20, 40 epochs
  settings.minimum = 0.1;
  const auto rate = [&](double epoch) { return learning_rate(settings, 1.0, epoch, 100); };
  EXPECT_DOUBLE_EQ(rate(0), 1);
  EXPECT_NEAR(rate(5), 0.55, 1e-12);
  EXPECT_NEAR(rate(9), 0.1 + 0.9 * (1 + std::cos(0.9 * M_PI)) / 2, 1e-12);
  EXPECT_DOUBLE_EQ(rate(10), 1);
  EXPECT_NEAR(rate(20), 0.55, 1e-12);
  EXPECT_DOUBLE_EQ(rate(30), 1);
  EXPECT_DOUBLE_EQ(rate(5.7), rate(5));
  settings.every_step = true;
  EXPECT_LT(rate(5.7), rate(5));
}

// PyTorch's CosineAnnealingLR(T_max=50, eta_min=0.1) goes up again after 50 epochs.
TEST(Schedule, CosineRisesAgain) {
  ScheduleSettings settings;
  settings.kind = "cosine";
  settings.first_period = 50;
  settings.minimum = 0.1;
  const auto rate = [&](double epoch) { return learning_rate(settings, 1.0, epoch, 300); };
  EXPECT_DOUBLE_EQ(rate(0), 1);
  EXPECT_NEAR(rate(25), 0.55, 1e-12);
  EXPECT_NEAR(rate(50), 0.1, 1e-12);
  EXPECT_NEAR(rate(60), rate(40), 1e-12);
  EXPECT_NEAR(rate(100), 1, 1e-12);
}

TEST(Schedule, ConstantPolyAndWarmup) {
  ScheduleSettings settings;
  settings.kind = "constant";
  EXPECT_EQ(learning_rate(settings, 0.5, 7, 10), 0.5);
  settings.kind = "poly";
  settings.power = 2;
  EXPECT_DOUBLE_EQ(learning_rate(settings, 1, 5, 10), 0.25);
  EXPECT_EQ(learning_rate(settings, 1, 10, 10), 0);
  settings.kind = "constant";
  settings.warmup = 2;
  EXPECT_EQ(learning_rate(settings, 1, 0, 10), 0);
  EXPECT_EQ(learning_rate(settings, 1, 1, 10), 0.5);
  EXPECT_EQ(learning_rate(settings, 1, 2, 10), 1);
}

}  // namespace
}  // namespace mambaseg
