#include "mambaseg/train/nan_guard.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "mambaseg/train/gradients.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

struct Layers : torch::nn::Module {
  Layers() {
    first = register_module("first", torch::nn::Conv3d(torch::nn::Conv3dOptions(1, 4, 3).padding(1)));
    norm = register_module("norm", torch::nn::GroupNorm(torch::nn::GroupNormOptions(2, 4)));
    last = register_module("last", torch::nn::Linear(4, 2));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    auto y = torch::relu(norm(first(x)));
    if (overflow) y = torch::exp(y * 1e4) * 0 + y;  // between norm and last
    return last(y.mean({2, 3, 4}));
  }
  bool overflow = false;
  torch::nn::Conv3d first{nullptr};
  torch::nn::GroupNorm norm{nullptr};
  torch::nn::Linear last{nullptr};
};

std::string found(Layers& layers, const torch::Tensor& x) {
  return find_non_finite(layers, [&] { layers.forward(x); });
}

TEST(NanGuard, NothingIsFoundWhereAllIsFinite) {
  Layers layers;
  EXPECT_EQ(found(layers, torch::randn({1, 1, 4, 4, 4})), "");
}

TEST(NanGuard, NamesTheParameter) {
  Layers layers;
  const torch::NoGradGuard no_grad;
  layers.last->weight[1][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(found(layers, torch::randn({1, 1, 4, 4, 4})), HasSubstr("parameter last.weight"));
  EXPECT_FALSE(all_finite(layers));
}

TEST(NanGuard, NamesTheModuleWhoseOutputOverflows) {
  Layers layers;
  {
    const torch::NoGradGuard no_grad;
    layers.last->weight.fill_(3e38f);
  }
  EXPECT_THAT(found(layers, torch::randn({1, 1, 4, 4, 4})), HasSubstr("in module last"));
  EXPECT_THAT(found(layers, torch::full({1, 1, 4, 4, 4}, std::numeric_limits<float>::infinity())),
              HasSubstr("before first"));
}

TEST(NanGuard, NamesTheModuleBeforeAnOperationWithoutParameters) {
  Layers layers;
  layers.overflow = true;
  torch::manual_seed(1);
  EXPECT_THAT(found(layers, torch::randn({1, 1, 4, 4, 4})), HasSubstr("in module norm (operation aten::exp"));
}

TEST(NanGuard, NamesTheGradient) {
  Layers layers;
  layers.forward(torch::randn({1, 1, 4, 4, 4})).sum().backward();
  EXPECT_TRUE(std::isfinite(gradient_norm(gradients_of(layers))));
  {
    const torch::NoGradGuard no_grad;
    layers.first->weight.mutable_grad().fill_(1e30f);
  }
  EXPECT_TRUE(std::isfinite(gradient_norm(gradients_of(layers))))
      << "the squares are beyond fp32, the norm is not";
  {
    const torch::NoGradGuard no_grad;
    layers.first->weight.mutable_grad().fill_(std::numeric_limits<float>::infinity());
  }
  EXPECT_FALSE(std::isfinite(gradient_norm(gradients_of(layers))));
  EXPECT_THAT(found(layers, torch::randn({1, 1, 4, 4, 4})), HasSubstr("gradient of first.weight"));
}

}  // namespace
}  // namespace mambaseg
