#include "mambaseg/train/gradients.h"

#include <gtest/gtest.h>
#include <torch/nn/utils/clip_grad.h>

namespace mambaseg {
namespace {

struct TwoWeights : torch::nn::Module {
  TwoWeights() {
    torch::manual_seed(1);
    all = {register_parameter("a", torch::zeros({7, 3})), register_parameter("b", torch::zeros({40}))};
    register_parameter("unused", torch::zeros({2}));
    for (torch::Tensor& one : all) one.mutable_grad() = torch::randn_like(one);
  }
  std::vector<torch::Tensor> all;
};

TEST(Gradients, AreClippedAsTorchClipsThem) {
  for (const double clip : {0.5, 3.0, 100.0}) {
    TwoWeights ours, theirs;
    const auto gradients = gradients_of(ours);
    ASSERT_EQ(gradients.size(), 2u) << "what has no gradient is left out";
    const double norm = gradient_norm(gradients);
    unscale_and_clip(gradients, norm, 1, clip);
    // LibTorch's norm is in fp32, ours in double.
    EXPECT_NEAR(torch::nn::utils::clip_grad_norm_(theirs.all, clip), norm, 1e-6 * norm);
    for (size_t i = 0; i < ours.all.size(); ++i)
      EXPECT_TRUE(torch::allclose(ours.all[i].grad(), theirs.all[i].grad(), 1e-6, 0)) << clip;
    EXPECT_NEAR(gradient_norm(gradients), std::min(norm, clip), 1e-5 * norm);
  }
}

TEST(Gradients, ThoseOfAScaledLossAreThoseOfTheLoss) {
  constexpr double kScale = 65536;
  for (const double clip : {0.0, 0.5}) {
    TwoWeights plain, scaled;
    for (torch::Tensor& one : scaled.all) one.mutable_grad().mul_(kScale);
    unscale_and_clip(gradients_of(plain), gradient_norm(gradients_of(plain)), 1, clip);
    unscale_and_clip(gradients_of(scaled), gradient_norm(gradients_of(scaled)), kScale, clip);
    for (size_t i = 0; i < plain.all.size(); ++i)
      EXPECT_TRUE(torch::equal(plain.all[i].grad(), scaled.all[i].grad())) << clip;  // a power of two
  }
}

TEST(Gradients, OfNothingHaveNoNorm) { EXPECT_EQ(gradient_norm({}), 0); }

}  // namespace
}  // namespace mambaseg
