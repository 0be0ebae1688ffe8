#include "mambaseg/train/loss_scale.h"

#include <gtest/gtest.h>

namespace mambaseg {
namespace {

TEST(LossScale, HalvesAtOnceAndDoublesAfter2000Steps) {
  LossScale scale{1024};
  for (int i = 0; i < 1999; ++i) scale.keep();
  EXPECT_EQ(scale.factor, 1024);
  EXPECT_TRUE(scale.halve());
  EXPECT_EQ(scale.factor, 512);
  for (int i = 0; i < 1999; ++i) scale.keep();
  EXPECT_EQ(scale.factor, 512) << "the count starts again";
  scale.keep();
  EXPECT_EQ(scale.factor, 1024);
}

TEST(LossScale, SmallFactorsAreNotToBlame) {
  LossScale scale{4};
  EXPECT_TRUE(scale.halve());
  EXPECT_FALSE(scale.halve());
  EXPECT_EQ(scale.factor, 2);
}

TEST(LossScale, WithoutScalingItStaysOne) {
  LossScale scale;
  for (int i = 0; i < 5000; ++i) scale.keep();
  EXPECT_EQ(scale.factor, 1);
  EXPECT_FALSE(scale.halve());
}

}  // namespace
}  // namespace mambaseg
