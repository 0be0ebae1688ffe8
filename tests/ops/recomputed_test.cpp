#include "mambaseg/ops/recomputed.h"

#include <gtest/gtest.h>

#include <torch/autograd.h>
#include <torch/cuda.h>

#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/norm.h"

namespace mambaseg {
namespace {

using torch::Tensor;

Tensor leaf(std::vector<int64_t> sizes, torch::Device device = torch::kCPU) {
  return torch::randn(sizes).to(device).requires_grad_();
}

void repeats_on(torch::Device device) {
  torch::manual_seed(1);
  const Tensor x = leaf({4, 8}, device), fixed = torch::randn({4, 8}).to(device), w = leaf({8, 8}, device),
               unused = leaf({3}, device);
  int calls = 0;
  const Computation compute = [&](const std::vector<Tensor>& in) {
    ++calls;
    return torch::dropout(torch::matmul(in[0], w), 0.5, true) * in[1];
  };
  const auto gradients = [&](bool again) {
    torch::manual_seed(2);
    const Tensor y = again ? recomputed(compute, {x, fixed}, {w, unused}) : compute({x, fixed});
    const Tensor drawn = torch::rand({2}, x.options());
    const auto found = torch::autograd::grad({y.square().sum()}, {x, w, unused}, {}, c10::nullopt, false,
                                             /*allow_unused=*/true);
    return std::vector<Tensor>{y, found[0], found[1], found[2], drawn, torch::rand({2}, x.options())};
  };
  const auto expected = gradients(false);
  EXPECT_EQ(calls, 1);
  const auto found = gradients(true);
  EXPECT_EQ(calls, 3);
  for (const size_t i : {0, 1, 2, 4, 5}) EXPECT_TRUE(torch::equal(found[i], expected[i])) << i;
  EXPECT_FALSE(found[3].defined());
}

TEST(Recomputed, RepeatsRandomNumbersAndLeavesTheGeneratorAsItWas) { repeats_on(torch::kCPU); }

TEST(Recomputed, OnTheGpuRepeatsRandomNumbers) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU, or a LibTorch without CUDA";
  repeats_on(torch::Device(torch::kCUDA, 0));
}

TEST(Recomputed, RunningStatisticsSeeABatchOnce) {
  for (const auto type : {torch::kFloat, torch::kDouble}) {  // our kernels, LibTorch
    torch::manual_seed(3);
    const Tensor x = torch::randn({2, 4, 5, 6}).to(type).requires_grad_(),
                 weight = torch::ones({4}, type).requires_grad_(),
                 bias = torch::zeros({4}, type).requires_grad_();
    RunningStatistics running{torch::zeros({4}, type), torch::ones({4}, type), 0.1};
    const Tensor y = recomputed(
        [&](const std::vector<Tensor>& in) {
          return batch_norm(in[0], weight, bias, running, 1e-5, {Activation::relu, {}});
        },
        {x}, {weight, bias});
    const Tensor mean = running.mean.clone(), var = running.var.clone();
    EXPECT_GT(mean.abs().max().item<double>(), 0);
    y.sum().backward();
    EXPECT_TRUE(torch::equal(running.mean, mean));
    EXPECT_TRUE(torch::equal(running.var, var));
    EXPECT_GT(bias.grad().abs().max().item<double>(), 0);
  }
}

TEST(Recomputed, TheSecondTimeHasTheAutocastOfTheFirst) {
  const Tensor x = leaf({2, 3});
  std::vector<std::string> seen;
  const Computation compute = [&](const std::vector<Tensor>& in) {
    seen.push_back(autocast_precision(torch::kCPU) + (is_recomputing() ? " again" : ""));
    return in[0] * 2;
  };
  Tensor y;
  {
    const Autocast autocast("bf16", torch::kCPU);
    seen.push_back(autocast_precision(torch::kCPU));
    y = recomputed(compute, {x}, {});
  }
  y.sum().backward();
  EXPECT_EQ(autocast_precision(torch::kCPU), "fp32");
  EXPECT_FALSE(is_recomputing());
  EXPECT_EQ(seen, (std::vector<std::string>{seen[0], seen[0], seen[0] + " again"}));
}

TEST(Recomputed, WithoutGradientIsTheComputationAlone) {
  int calls = 0;
  const Computation compute = [&](const std::vector<Tensor>& in) {
    ++calls;
    return in[0] + 1;
  };
  EXPECT_FALSE(recomputed(compute, {torch::ones({2})}, {}).requires_grad());
  const torch::NoGradGuard no_grad;
  recomputed(compute, {leaf({2})}, {});
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace mambaseg
