// Batch norms whose batch lies on several ranks.
#include "mambaseg/ops/synchronised_norm.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include "tests/train/ranks.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr int64_t kChannels = 3;
constexpr double kUnit = 0x1p-24;  // rounding of fp32

/// What a batch norm gives for a batch x, and for gradients g of its result.
struct Normed {
  Tensor y, dx, dweight, dbias, mean, var;
};

/// In the type of x.
Normed normed(const Tensor& given, const Tensor& g) {
  const auto type = given.scalar_type();
  const Tensor x = given.detach().clone().set_requires_grad(true);
  const Tensor weight = torch::tensor({0.5, 1.25, -2.0}, type).set_requires_grad(true);
  const Tensor bias = torch::tensor({0.1, -1.0, 0.25}, type).set_requires_grad(true);
  RunningStatistics running{torch::zeros({kChannels}, type), torch::ones({kChannels}, type)};
  const Tensor y = batch_norm(x, weight, bias, running, 1e-5);
  y.backward(g.to(y.scalar_type()));
  return {y.detach(), x.grad(), weight.grad(), bias.grad(), running.mean, running.var};
}

/// Samples with a mean far from 0 in one channel, and gradients.
std::pair<Tensor, Tensor> drawn(int64_t samples) {
  torch::manual_seed(5);
  const Tensor x = torch::randn({samples, kChannels, 6, 5}) * 2 +
                   torch::tensor({0.0, 1.0, 300.0}).view({1, kChannels, 1, 1});
  return {x, torch::randn_like(x)};
}

/// `parts` of the samples, one on each rank; parts of none hold the first sample, which does not count there.
std::vector<Normed> on_ranks_of(const std::vector<int64_t>& parts, bool synchronised) {
  int64_t all = 0;
  for (const int64_t part : parts) all += part;
  const auto [x, g] = drawn(all);
  return on_ranks(static_cast<int>(parts.size()), [&, x = x, g = g](World& world) {
    int64_t first = 0;
    for (int rank = 0; rank < world.rank(); ++rank) first += parts[static_cast<size_t>(rank)];
    const int64_t count = parts[static_cast<size_t>(world.rank())];
    const Tensor mine = count > 0 ? x.narrow(0, first, count) : x.narrow(0, 0, 1);
    const Tensor gradient = count > 0 ? g.narrow(0, first, count) : torch::zeros_like(mine);
    if (!synchronised) return normed(mine, gradient);
    const SynchronisedBatchNorms ranks([&](const Tensor& t) { return world.of_all(t); }, count > 0);
    return normed(mine, gradient);
  });
}

double furthest(const Tensor& a, const Tensor& b) {
  return (a.to(torch::kDouble) - b.to(torch::kDouble)).abs().max().item<double>();
}

class SynchronisedNorm : public testing::TestWithParam<std::vector<int64_t>> {};

TEST_P(SynchronisedNorm, RanksGiveWhatOneProcessGivesForAllSamples) {
  const std::vector<Normed> ranks = on_ranks_of(GetParam(), true);
  int64_t all = 0, first = 0;
  for (const int64_t part : GetParam()) all += part;
  const auto [x, g] = drawn(all);
  const Normed one = normed(x.to(torch::kDouble), g.to(torch::kDouble));
  // The mean is rounded to fp32, by half a unit of it at most, which the factor 1/deviation (about 1/2) and
  // |weight| up to 2 carry into y; behind it y has four roundings of numbers up to its own size.
  const double of_mean = 301 * kUnit * 0.55 * 2, of_y = 6 * kUnit * one.y.abs().max().item<double>();
  // dx: sums of g z, of which each z is off by as much, in means over the batch; four roundings of terms.
  const double size = g.abs().max().item<double>();
  const double of_dx = (of_mean + 12 * kUnit * 4) * size * 4;
  const double count = static_cast<double>(x.numel() / kChannels);
  Tensor dweight = torch::zeros({kChannels}), dbias = torch::zeros({kChannels});
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const Normed& mine = ranks[rank];
    dweight += mine.dweight, dbias += mine.dbias;
    EXPECT_LE(furthest(mine.mean, one.mean), 2 * 30 * kUnit) << rank;  // a tenth of up to 300
    EXPECT_LE(furthest(mine.var, one.var), 4 * kUnit * 2) << rank;
    const int64_t part = GetParam()[rank];
    if (part == 0) {
      EXPECT_EQ(mine.dx.abs().max().item<double>(), 0) << "what does not count has no gradient";
      EXPECT_LE(furthest(mine.y, one.y.narrow(0, 0, 1)), of_mean + of_y) << "normed as the others are";
      continue;
    }
    EXPECT_LE(furthest(mine.y, one.y.narrow(0, first, part)), of_mean + of_y) << rank;
    EXPECT_LE(furthest(mine.dx, one.dx.narrow(0, first, part)), of_dx) << rank;
    first += part;
  }
  EXPECT_LE(furthest(dweight, one.dweight), count * size * (of_mean + 4 * kUnit * 4));
  EXPECT_LE(furthest(dbias, one.dbias), count * size * 4 * kUnit);
}

INSTANTIATE_TEST_SUITE_P(Parts, SynchronisedNorm,
                         testing::Values(std::vector<int64_t>{2, 2}, std::vector<int64_t>{1, 3},
                                         std::vector<int64_t>{2, 0}, std::vector<int64_t>{0, 1, 2}));

TEST(SynchronisedNorms, WithoutThemEachRankNormsByItsOwn) {
  const auto [x, g] = drawn(4);
  const Normed one = normed(x.to(torch::kDouble), g.to(torch::kDouble));
  const std::vector<Normed> apart = on_ranks_of({2, 2}, false);
  EXPECT_GT(furthest(apart[0].y, one.y.narrow(0, 0, 2)), 1e-2);
  EXPECT_GT(furthest(apart[0].dx, one.dx.narrow(0, 0, 2)), 1e-2);
}

TEST(SynchronisedNorms, GradientsAreNumericOnes) {
  const auto [x, g] = drawn(2);
  World alone;
  const SynchronisedBatchNorms ranks([&](const Tensor& t) { return alone.of_all(t); }, true);
  const Tensor wide = x.to(torch::kDouble), by = g.to(torch::kDouble);
  const Normed found = normed(wide, by);
  constexpr double kStep = 1e-4;  // of the difference; its error is of the order of the square
  for (const int64_t at : {0, 17, 40, 89, 100, 179}) {
    Tensor up = wide.clone(), down = wide.clone();
    up.view(-1)[at] += kStep, down.view(-1)[at] -= kStep;
    const double slope = ((normed(up, by).y - normed(down, by).y) * by).sum().item<double>() / (2 * kStep);
    EXPECT_NEAR(found.dx.view(-1)[at].item<double>(), slope, 1e-6) << at;
  }
}

TEST(SynchronisedNorms, EndWithTheirScope) {
  EXPECT_EQ(SynchronisedBatchNorms::active(), nullptr);
  {
    const SynchronisedBatchNorms outer([](const Tensor& t) { return t.unsqueeze(0); }, true);
    {
      const SynchronisedBatchNorms inner([](const Tensor& t) { return t.unsqueeze(0); }, false);
    }
    EXPECT_EQ(SynchronisedBatchNorms::active(), &outer);
  }
  EXPECT_EQ(SynchronisedBatchNorms::active(), nullptr);
}

}  // namespace
}  // namespace mambaseg
