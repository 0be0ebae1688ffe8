// Distributions, Bland-Altman, bootstrap and Holm; figures marked SciPy were computed with scipy 1.10.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "mambaseg/core/error.h"
#include "mambaseg/core/random.h"
#include "mambaseg/stats/bland_altman.h"
#include "mambaseg/stats/bootstrap.h"
#include "mambaseg/stats/distributions.h"
#include "mambaseg/stats/holm.h"

namespace mambaseg {
namespace {

TEST(Distributions, EqualSciPy) {
  // One degree is Cauchy's distribution, two have a closed form; SciPy itself is off by 2e-11 there.
  EXPECT_NEAR(student_t_quantile(0.975, 1), std::tan(0.475 * M_PI), 1e-12);
  EXPECT_NEAR(student_t_quantile(0.9, 2), 0.8 / std::sqrt(2 * 0.9 * 0.1), 1e-13);
  EXPECT_NEAR(student_t_quantile(0.975, 11) / 2.200985160082949, 1, 1e-10);
  EXPECT_NEAR(student_t_quantile(0.9, 2.5) / 1.730250928807177, 1, 1e-10);
  EXPECT_NEAR(student_t_quantile(0.025, 30) / -2.042272456301238, 1, 1e-10);
  EXPECT_NEAR(student_t_quantile(0.995, 200) / 2.600634436165038, 1, 1e-10);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-12);
  EXPECT_NEAR(normal_quantile(0.001), -3.090232306167813, 1e-12);
  EXPECT_EQ(normal_quantile(0.5), 0);
  EXPECT_NEAR(normal_upper_tail(0.3), 0.3820885778110474, 1e-15);
  EXPECT_NEAR(normal_upper_tail(8) / 6.22096057427174e-16, 1, 1e-12);
}

TEST(BlandAltman, WorkedExample) {
  const std::vector<double> a{10, 12, 14, 0}, b{8, 13, 11, 0};  // differences 2, -1, 3, 0
  const BlandAltman result = bland_altman(a, b);
  EXPECT_EQ(result.n, 4);
  EXPECT_DOUBLE_EQ(result.bias, 1);
  EXPECT_DOUBLE_EQ(result.sd, std::sqrt(10.0 / 3));
  EXPECT_DOUBLE_EQ(result.limits[1] - result.limits[0], 2 * 1.96 * result.sd);
  EXPECT_NEAR(result.percent_bias, 100 * (2 / 9.0 - 1 / 12.5 + 3 / 12.5) / 3, 1e-12);
  EXPECT_NEAR(result.correlation, 0.95666115, 1e-8);  // numpy.corrcoef
  EXPECT_LT(result.bias_ci95[0], 1);
  EXPECT_GT(result.bias_ci95[1], 1);
}

TEST(BlandAltman, RefusesTooFewAndUnpaired) {
  const std::vector<double> one{1}, two{1, 2}, broken{1, INFINITY};
  EXPECT_THROW(bland_altman(one, one), Error);
  EXPECT_THROW(bland_altman(one, two), Error);
  EXPECT_THROW(bland_altman(two, broken), Error);
}

TEST(BootstrapMean, IsNearSciPyAndRepeatable) {
  const std::vector<double> values{3.1, 2.0, 5.5, 0.2, 8.9, 4.4, 1.0, 12.5};
  const auto interval = bootstrap_mean(values, {100000, 0.95, 3});
  EXPECT_NEAR(interval[0], 2.475, 0.05);  // SciPy: BCa with 200000 resamples
  EXPECT_NEAR(interval[1], 8.1, 0.1);
  EXPECT_EQ(interval, bootstrap_mean(values, {100000, 0.95, 3}));
  EXPECT_NE(interval, bootstrap_mean(values, {100000, 0.95, 4}));
}

TEST(BootstrapMean, CoversTheMeanAboutAsOftenAsItSays) {
  int covered = 0;
  for (uint64_t trial = 0; trial < 400; ++trial) {
    Random random(77, trial);
    std::vector<double> values(25);
    for (double& v : values) v = -std::log(random.uniform(1e-9, 1));  // exponential, mean 1
    const auto [low, high] = bootstrap_mean(values, {1000, 0.9, trial});
    covered += low <= 1 && 1 <= high;
  }
  EXPECT_GT(covered, 400 * 0.83);
  EXPECT_LT(covered, 400 * 0.95);
}

TEST(BootstrapMean, OfTooLittleAndOfEqualValues) {
  EXPECT_TRUE(std::isnan(bootstrap_mean(std::vector<double>{4})[0]));
  EXPECT_EQ(bootstrap_mean(std::vector<double>{4, 4, 4})[1], 4);
}

TEST(Holm, AdjustsStepByStepAndPassesOverMissingTests) {
  const auto adjusted = holm(std::vector<double>{0.01, NAN, 0.04, 0.03, 0.005});
  EXPECT_DOUBLE_EQ(adjusted[4], 0.02);
  EXPECT_DOUBLE_EQ(adjusted[0], 0.03);
  EXPECT_DOUBLE_EQ(adjusted[3], 0.06);
  EXPECT_DOUBLE_EQ(adjusted[2], 0.06);  // never below a smaller p
  EXPECT_TRUE(std::isnan(adjusted[1]));
  EXPECT_EQ(holm(std::vector<double>{0.7, 0.9})[1], 1);
  EXPECT_TRUE(holm({}).empty());
}

}  // namespace
}  // namespace mambaseg
