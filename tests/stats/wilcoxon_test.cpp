#include "mambaseg/stats/wilcoxon.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "mambaseg/core/error.h"
#include "mambaseg/core/random.h"

namespace mambaseg {
namespace {

/// p-values of the rank sum by trying all signs: two-sided, greater, less.
std::vector<double> by_enumeration(const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<double> size;
  std::vector<bool> positive;
  for (size_t i = 0; i < x.size(); ++i)
    if (x[i] != y[i]) {
      size.push_back(std::abs(x[i] - y[i]));
      positive.push_back(x[i] > y[i]);
    }
  std::vector<double> rank(size.size(), 0.5);
  for (size_t i = 0; i < size.size(); ++i)
    for (const double other : size) rank[i] += other < size[i] ? 1 : other == size[i] ? 0.5 : 0;
  double observed = 0;
  for (size_t i = 0; i < rank.size(); ++i) observed += positive[i] ? rank[i] : 0;
  double above = 0, below = 0;
  const size_t signs = size_t(1) << rank.size();
  for (size_t s = 0; s < signs; ++s) {
    double sum = 0;
    for (size_t i = 0; i < rank.size(); ++i) sum += s >> i & 1 ? rank[i] : 0;
    above += sum >= observed - 1e-9;
    below += sum <= observed + 1e-9;
  }
  above /= double(signs);
  below /= double(signs);
  return {std::min(1.0, 2 * std::min(above, below)), above, below};
}

TEST(Wilcoxon, PermutationEqualsEnumerationWithTiesAndZeros) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Random random(seed);
    std::vector<double> x, y;
    for (int64_t i = 0; i < 3 + int64_t(seed % 9); ++i) {
      x.push_back(double(random.below(6)));
      y.push_back(double(random.below(5)));
    }
    const auto expected = by_enumeration(x, y);
    const auto p = [&](Alternative alternative) {
      return wilcoxon(x, y, {ZeroMethod::wilcox, NullDistribution::permutation, alternative}).p;
    };
    EXPECT_NEAR(p(Alternative::two_sided), expected[0], 1e-12) << seed;
    EXPECT_NEAR(p(Alternative::greater), expected[1], 1e-12) << seed;
    EXPECT_NEAR(p(Alternative::less), expected[2], 1e-12) << seed;
  }
}

TEST(Wilcoxon, ExactEqualsPermutationWithoutTies) {
  Random random(5);
  std::vector<double> x, y;
  for (int i = 0; i < 40; ++i) {
    x.push_back(random.normal() + 0.3);
    y.push_back(random.normal());
  }
  for (const auto alternative : {Alternative::two_sided, Alternative::greater, Alternative::less}) {
    const double exact = wilcoxon(x, y, {ZeroMethod::wilcox, NullDistribution::exact, alternative}).p;
    EXPECT_NEAR(exact, wilcoxon(x, y, {ZeroMethod::wilcox, NullDistribution::permutation, alternative}).p,
                1e-13);
    EXPECT_EQ(exact, wilcoxon(x, y, {ZeroMethod::wilcox, NullDistribution::automatic, alternative}).p);
    EXPECT_NEAR(exact, wilcoxon(x, y, {ZeroMethod::wilcox, NullDistribution::normal, alternative}).p, 0.01);
  }
}

TEST(Wilcoxon, RankSumsAndEffect) {
  const std::vector<double> x{5, 3, 9, 2}, y{1, 4, 1, 2};  // differences 4, -1, 8, 0
  const WilcoxonResult result = wilcoxon(x, y);
  EXPECT_EQ(result.pairs, 3);
  EXPECT_EQ(result.w_plus, 5);
  EXPECT_EQ(result.w_minus, 1);
  EXPECT_EQ(result.statistic, 1);
  EXPECT_DOUBLE_EQ(result.effect, 4.0 / 6);
  const WilcoxonResult split = wilcoxon(x, y, {ZeroMethod::zsplit});
  EXPECT_EQ(split.w_plus, 3 + 4 + 0.5);
  EXPECT_EQ(wilcoxon(x, y, {ZeroMethod::pratt}).w_plus, 7);
}

TEST(Wilcoxon, NothingDiffersOrNothingIsThere) {
  const std::vector<double> same{1, 2, 3};
  EXPECT_EQ(wilcoxon(same, same).p, 1);
  EXPECT_TRUE(std::isnan(wilcoxon(same, same).effect));
  EXPECT_EQ(wilcoxon({}, {}).p, 1);
  const std::vector<double> shorter{1, 2}, broken{1, NAN, 3};
  EXPECT_THROW(wilcoxon(same, shorter), Error);
  EXPECT_THROW(wilcoxon(same, broken), Error);
}

}  // namespace
}  // namespace mambaseg
