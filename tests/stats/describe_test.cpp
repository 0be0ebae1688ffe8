#include "mambaseg/stats/describe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace mambaseg {
namespace {

TEST(Describe, AHandfulOfValues) {  // figures of numpy
  const Description d = describe(std::vector<double>{4, 1, 3, 2, 10});
  EXPECT_EQ(d.n, 5);
  EXPECT_DOUBLE_EQ(d.mean, 4);
  EXPECT_DOUBLE_EQ(d.sd, std::sqrt(50.0 / 4));
  EXPECT_DOUBLE_EQ(d.min, 1);
  EXPECT_DOUBLE_EQ(d.q1, 2);
  EXPECT_DOUBLE_EQ(d.median, 3);
  EXPECT_DOUBLE_EQ(d.q3, 4);
  EXPECT_DOUBLE_EQ(d.max, 10);
}

TEST(Describe, OneValueHasNoSpreadAndNoneHasNothing) {
  const Description one = describe(std::vector<double>{7});
  EXPECT_EQ(one.mean, 7);
  EXPECT_EQ(one.q1, 7);
  EXPECT_TRUE(std::isnan(one.sd));
  const Description none = describe({});
  EXPECT_EQ(none.n, 0);
  EXPECT_TRUE(std::isnan(none.mean) && std::isnan(none.median) && std::isnan(none.max));
}

TEST(Quantile, IsLinearBetweenNeighbours) {
  const std::vector<double> sorted{0, 10, 20, 40};
  EXPECT_DOUBLE_EQ(quantile(sorted, 0), 0);
  EXPECT_DOUBLE_EQ(quantile(sorted, 0.5), 15);
  EXPECT_DOUBLE_EQ(quantile(sorted, 0.95), 37);
  EXPECT_DOUBLE_EQ(quantile(sorted, 1), 40);
}

}  // namespace
}  // namespace mambaseg
