#include "mambaseg/infer/importance.h"

#include <cmath>

#include <gtest/gtest.h>

namespace mambaseg {
namespace {

TEST(Importance, IsAGaussianAroundTheMiddle) {
  const auto w = gaussian_importance({8, 16}, 0.25, 10, torch::kFloat64);
  EXPECT_EQ(w[4][8].item<double>(), 10);
  EXPECT_NEAR(w[2][8].item<double>(), 10 * std::exp(-0.5), 1e-12);  // one deviation: 2 voxels
  EXPECT_NEAR(w[2][4].item<double>(), w[2][8].item<double>() * std::exp(-0.5),
              1e-12);  // and 4 along the other
  EXPECT_EQ(w.max().item<double>(), 10);
}

TEST(Importance, EveryVoxelCounts) {
  for (const auto type : {torch::kFloat16, torch::kFloat32})
    EXPECT_GT(gaussian_importance({96, 96, 96}, 0.125, 10, type).to(torch::kFloat32).min().item<float>(), 0);
}

}  // namespace
}  // namespace mambaseg
