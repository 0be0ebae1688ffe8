#include "mambaseg/nets/layers/transforms.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mambaseg {
namespace {

using torch::Tensor;

Tensor images(int64_t dims) {
  torch::manual_seed(7);
  const int64_t sizes[] = {2, 3, 4, 6, 8};
  return torch::randn(std::vector<int64_t>(sizes, sizes + 2 + dims), torch::kDouble);
}

double largest(const Tensor& a) { return a.abs().max().item<double>(); }
double energy(const Tensor& a) { return a.square().sum().item<double>(); }

TEST(Transforms, KeepEnergyAndAreUndone) {
  for (const int64_t dims : {1, 2, 3}) {
    const Tensor x = images(dims), bands = haar(x), frequencies = cosine_transform(x);
    EXPECT_EQ(bands.size(1), 3 << dims);
    EXPECT_NEAR(energy(bands), energy(x), 1e-9);
    EXPECT_NEAR(energy(frequencies), energy(x), 1e-9);
    EXPECT_LE(largest(inverse_haar(bands) - x), 1e-14);
    EXPECT_LE(largest(inverse_cosine_transform(frequencies) - x), 1e-13);
  }
}

// Bands of single blocks, by their definition.
TEST(Transforms, HaarHasItsBandsInOrder) {
  const Tensor block = torch::tensor({1.0, 2.0, 4.0, 8.0}, torch::kDouble).view({1, 1, 2, 2});
  const Tensor expected = torch::tensor({15.0, -9.0, -5.0, 3.0}, torch::kDouble) / 2;  // rows, columns, both
  EXPECT_LE(largest(haar(block).flatten() - expected), 1e-14);
  const Tensor ramp = torch::arange(8, torch::kDouble).view({1, 1, 2, 2, 2});  // 4 z + 2 y + x
  const Tensor ramps = torch::tensor({28.0, -16.0, -8.0, 0.0, -4.0, 0.0, 0.0, 0.0}, torch::kDouble);
  EXPECT_LE(largest(haar(ramp).flatten() - ramps / std::sqrt(8.0)), 1e-14);
}

TEST(Transforms, CosineTransformIsItsSum) {
  const Tensor x = images(1);
  const int64_t n = x.size(2);
  for (int64_t k = 0; k < n; ++k) {
    Tensor sum = torch::zeros({2, 3}, torch::kDouble);
    for (int64_t i = 0; i < n; ++i)
      sum +=
          x.select(2, i) * std::cos(M_PI * static_cast<double>(k * (2 * i + 1)) / static_cast<double>(2 * n));
    const double scale = std::sqrt((k == 0 ? 1.0 : 2.0) / static_cast<double>(n));
    EXPECT_LE(largest(cosine_transform(x).select(2, k) - scale * sum), 1e-13) << k;
  }
}

TEST(Transforms, RefuseWhatCannotBeHalved) { EXPECT_ANY_THROW(haar(torch::zeros({1, 1, 4, 5}))); }

}  // namespace
}  // namespace mambaseg
