#include "mambaseg/core/random.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mambaseg {
namespace {

TEST(Random, IsPhilox4x32WithTenRounds) {
  Random random(0, 0);  // known answer of the Random123 distribution for counter 0 and key 0
  EXPECT_EQ(random.bits(), 0x6627e8d5u);
  EXPECT_EQ(random.bits(), 0xe169c58du);
  EXPECT_EQ(random.bits(), 0xbc57ac4cu);
  EXPECT_EQ(random.bits(), 0x9b00dbd8u);
}

TEST(Random, StreamsDifferAndRepeat) {
  Random a(7, 1), b(7, 1), c(7, 2);
  EXPECT_EQ(a.bits(), b.bits());
  EXPECT_NE(a.bits(), c.bits());
  EXPECT_NE(stream_of(1, 2), stream_of(2, 1));
}

TEST(Random, MomentsOfUniformAndNormal) {
  Random random(3);
  const int n = 200000;
  double sum = 0, sum_normal = 0, squares = 0;
  int64_t low = 0;
  for (int i = 0; i < n; ++i) {
    sum += random.uniform();
    const double x = random.normal();
    sum_normal += x;
    squares += x * x;
    low += random.below(3) == 0;
  }
  EXPECT_NEAR(sum / n, 0.5, 5 / std::sqrt(12.0 * n));
  EXPECT_NEAR(sum_normal / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2.0 / n));
  EXPECT_NEAR(double(low) / n, 1.0 / 3, 5 * std::sqrt(2.0 / 9 / n));
}

}  // namespace
}  // namespace mambaseg
