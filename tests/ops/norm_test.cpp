#include "mambaseg/ops/norm.h"

#include <gtest/gtest.h>

#include <torch/autograd.h>
#include <torch/cuda.h>

#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct Case {
  std::vector<int64_t> sizes;
  int64_t groups;
};

const std::vector<Case> kCases = {{{2, 16, 5, 7}, 4},       {{1, 6, 3, 4, 5}, 6}, {{2, 40, 9, 11, 13}, 8},
                                  {{3, 64, 6, 6, 6}, 8},    {{1, 33, 20, 21}, 3}, {{1, 5, 1, 1, 1}, 1},
                                  {{1, 32, 31, 33, 17}, 32}};

double bound_of(torch::ScalarType type) { return type == torch::kBFloat16 ? 0x1p-8 : 4e-6; }

TEST(Norm, GroupNormEqualsLibTorchsInDouble) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(3);
  for (const Case& c : kCases)
    for (const auto type : {torch::kFloat, torch::kBFloat16})
      for (const auto activation :
           {Activation::none, Activation::relu, Activation::leaky_relu, Activation::silu}) {
        // Far from zero, so that a naive variance would lose its digits.
        const Tensor x = (torch::randn(c.sizes) * 0.5 + 20).to(type),
                     residual = torch::randn(c.sizes).to(type);
        const Tensor weight = torch::randn({c.sizes[1]}), bias = torch::randn({c.sizes[1]});
        const auto wide = [](const Tensor& t) { return t.to(torch::kDouble); };
        const Tensor expected =
            activate(torch::group_norm(wide(x), c.groups, wide(weight), wide(bias), 1e-5) + wide(residual),
                     activation);
        const Tensor y = group_norm(x, c.groups, weight, bias, 1e-5, {activation, residual});
        EXPECT_EQ(y.scalar_type(), type);
        // x / deviation is as large as 40 and was rounded.
        const double bound =
            bound_of(type) * (type == torch::kBFloat16 ? 4 : 10) * (1 + expected.abs().max().item<double>());
        EXPECT_LE((wide(y) - expected).abs().max().item<double>(), bound) << x.sizes() << type;
      }
}

TEST(Norm, OnTheGpuGroupNormEqualsLibTorchsInDouble) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU, or a LibTorch without CUDA";
  torch::manual_seed(3);
  for (const auto& sizes : {std::vector<int64_t>{2, 6, 7, 5}, std::vector<int64_t>{1, 12, 40, 33, 37}})
    for (const int64_t groups : {1, 3, 6})
      for (const auto type : {torch::kFloat, torch::kBFloat16}) {
        const Tensor x = (torch::randn(sizes) * 2 + 1).to(type), w = torch::randn({sizes[1]}),
                     b = torch::randn({sizes[1]}), g = torch::randn(sizes).to(type);
        const auto leaf = [](const Tensor& t) { return t.detach().requires_grad_(); };
        const Tensor x1 = leaf(x.to(torch::kCUDA)), w1 = leaf(w.to(torch::kCUDA)),
                     b1 = leaf(b.to(torch::kCUDA)), x2 = leaf(x.to(torch::kDouble)),
                     w2 = leaf(w.to(torch::kDouble)), b2 = leaf(b.to(torch::kDouble));
        const Tensor y = group_norm(x1, groups, w1, b1, 1e-5, {Activation::leaky_relu, {}});
        EXPECT_EQ(y.scalar_type(), type);
        const Tensor expected = torch::leaky_relu(torch::group_norm(x2, groups, w2, b2, 1e-5), kLeakySlope);
        y.backward(g.to(torch::kCUDA));
        expected.backward(g.to(torch::kDouble));
        const auto error = [](const Tensor& found, const Tensor& exact) {
          return ((found.cpu().to(torch::kDouble) - exact).norm() / exact.norm()).item<double>();
        };
        const double bound = type == torch::kFloat ? 1e-5 : 1e-2;
        EXPECT_LT(error(y, expected), bound);
        EXPECT_LT(error(x1.grad(), x2.grad()), bound);
        EXPECT_LT(error(w1.grad(), w2.grad()), bound);
        EXPECT_LT(error(b1.grad(), b2.grad()), bound);
      }
}

TEST(Norm, LayerNormEqualsLibTorchsInDouble) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(4);
  for (const int64_t channels : {3, 16, 37, 1024})
    for (const auto type : {torch::kFloat, torch::kBFloat16}) {
      const Tensor x = (torch::randn({2, 5, channels}) + 3).to(type);
      const Tensor weight = torch::randn({channels}), bias = torch::randn({channels});
      const auto wide = [](const Tensor& t) { return t.to(torch::kDouble); };
      const Tensor expected = torch::layer_norm(wide(x), {channels}, wide(weight), wide(bias), 1e-5);
      const Tensor y = layer_norm(x, weight, bias, 1e-5);
      EXPECT_EQ(y.scalar_type(), type);
      EXPECT_LE((wide(y) - expected).abs().max().item<double>(),
                bound_of(type) * (1 + expected.abs().max().item<double>()))
          << channels << type;
    }
}

TEST(Norm, LayerNormHasLibTorchsGradientsInDouble) {
  torch::manual_seed(6);
  for (const int64_t channels : {3, 16, 37, 1024})
    for (const auto type : {torch::kFloat, torch::kBFloat16}) {
      const auto wide = [](const Tensor& t) { return t.detach().to(torch::kDouble).requires_grad_(); };
      const Tensor x = (torch::randn({2, 350, channels}) + 3).to(type).requires_grad_();
      const Tensor weight = torch::randn({channels}).requires_grad_(),
                   bias = torch::randn({channels}).requires_grad_();
      const Tensor dy = torch::randn_like(x);
      const auto ours = torch::autograd::grad({layer_norm(x, weight, bias, 1e-5)}, {x, weight, bias}, {dy});
      const std::vector<Tensor> exact{wide(x), wide(weight), wide(bias)};
      const auto expected = torch::autograd::grad(
          {torch::layer_norm(exact[0], {channels}, exact[1], exact[2], 1e-5)}, exact, {wide(dy)});
      // A row's mean is good to the last bit of its numbers, and what is left of them may be far smaller.
      const double lost =
          (exact[0].abs().amax(-1) / exact[0].std(-1, /*unbiased=*/false)).max().item<double>();
      for (size_t i = 0; i < ours.size(); ++i) {
        const double error = ((wide(ours[i]) - expected[i]).norm() / expected[i].norm()).item<double>();
        // Only the gradient of x is rounded to the type of x; sums are fp32 and double.
        const double bound = i == 0 && type == torch::kBFloat16 ? 0x1p-9 : 0;
        EXPECT_LE(error, bound + (8 + lost) * 0x1p-24) << channels << type << i;
      }
    }
}

TEST(Norm, GradientsAreLibTorchs) {
  torch::manual_seed(5);
  const Tensor weight = torch::randn({12}).requires_grad_(), bias = torch::randn({12}).requires_grad_();
  const Tensor x = torch::randn({2, 12, 3, 5, 4}).requires_grad_(), dy = torch::randn({2, 12, 3, 5, 4});
  const auto ours = torch::autograd::grad({group_norm(x, 3, weight, bias, 1e-5, {Activation::relu, {}})},
                                          {x, weight, bias}, {dy});
  const auto theirs = torch::autograd::grad({torch::relu(torch::group_norm(x, 3, weight, bias, 1e-5))},
                                            {x, weight, bias}, {dy});
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(torch::allclose(ours[i], theirs[i], 1e-4, 1e-5)) << i;

  // The same in bf16: x, dy and the results are rounded, sums are not.
  const Tensor low = x.detach().to(torch::kBFloat16).requires_grad_(), low_dy = dy.to(torch::kBFloat16);
  const Tensor wide = low.detach().to(torch::kFloat).requires_grad_();
  const auto rounded = torch::autograd::grad({group_norm(low, 3, weight, bias, 1e-5, {Activation::relu, {}})},
                                             {low, weight, bias}, {low_dy});
  const auto exact = torch::autograd::grad({torch::relu(torch::group_norm(wide, 3, weight, bias, 1e-5))},
                                           {wide, weight, bias}, {low_dy.to(torch::kFloat)});
  EXPECT_EQ(rounded[0].scalar_type(), torch::kBFloat16);
  EXPECT_TRUE(torch::allclose(rounded[0].to(torch::kFloat), exact[0], 0x1p-8, 1e-5));
  for (const size_t i : {1, 2}) EXPECT_TRUE(torch::allclose(rounded[i], exact[i], 1e-4, 1e-4)) << i;
}

TEST(Norm, GroupNormWithWhatIsAddedHasLibTorchsGradientsInDouble) {
  torch::manual_seed(11);
  const Tensor weight = torch::randn({12}).requires_grad_(), bias = torch::randn({12}).requires_grad_();
  for (const auto activation : {Activation::none, Activation::leaky_relu, Activation::silu})
    for (const bool same_type : {true, false}) {
      const auto leaf = [](const Tensor& t, torch::ScalarType type) {
        return t.detach().to(type).requires_grad_();
      };
      const Tensor x = torch::randn({2, 12, 3, 5, 4}).requires_grad_(), dy = torch::randn_like(x);
      const Tensor residual = leaf(torch::randn_like(x), same_type ? torch::kFloat : torch::kBFloat16);
      const Tensor wide = leaf(x, torch::kDouble), wide_residual = leaf(residual, torch::kDouble);
      const auto ours = torch::autograd::grad({group_norm(x, 3, weight, bias, 1e-5, {activation, residual})},
                                              {x, weight, bias, residual}, {dy});
      const auto exact = torch::autograd::grad(
          {finish(torch::group_norm(wide, 3, weight.to(torch::kDouble), bias.to(torch::kDouble), 1e-5),
                  {activation, wide_residual})},
          {wide, weight, bias, wide_residual}, {dy.to(torch::kDouble)});
      for (size_t i = 0; i < ours.size(); ++i) {
        const double rounding = ours[i].scalar_type() == torch::kBFloat16 ? 0x1p-8 : 4e-6;
        EXPECT_LE((ours[i].to(torch::kDouble) - exact[i]).abs().max().item<double>(),
                  rounding * (1 + exact[i].abs().max().item<double>()))
            << i << static_cast<int>(activation) << same_type;
      }
    }
}

TEST(Norm, BatchNormInTrainingIsLibTorchs) {
  torch::manual_seed(9);
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{1, 12, 5, 7}, {3, 12, 5, 7}, {1, 6, 3, 4, 5}, {2, 33, 6, 5, 4}, {4, 8, 1, 1}})
    for (const auto activation :
         {Activation::none, Activation::relu, Activation::leaky_relu, Activation::silu})
      for (const bool with_residual : {false, true})
        for (const auto type : {torch::kFloat, torch::kBFloat16}) {
          const int64_t channels = sizes[1];
          const Tensor weight = torch::randn({channels}).requires_grad_(),
                       bias = torch::randn({channels}).requires_grad_();
          const Tensor x = (torch::randn(sizes) * 0.5 + 3).to(type).requires_grad_(),
                       dy = torch::randn(sizes).to(type);
          const Tensor residual = with_residual ? torch::randn(sizes).to(type).requires_grad_() : Tensor();
          const Tensor wide = x.detach().to(torch::kDouble).requires_grad_();
          const auto in_double = [](const Tensor& t) { return t.defined() ? t.to(torch::kDouble) : t; };
          const Tensor wide_residual =
              with_residual ? in_double(residual.detach()).requires_grad_() : Tensor();
          RunningStatistics ours{torch::full({channels}, 0.5), torch::full({channels}, 2.0), 0.1};
          const Tensor mean = torch::full({channels}, 0.5, torch::kDouble),
                       var = torch::full({channels}, 2.0, torch::kDouble);
          const Tensor expected = finish(
              torch::batch_norm(wide, in_double(weight), in_double(bias), mean, var, true, 0.1, 1e-5, false),
              {activation, wide_residual});
          const auto mean_version = ours.mean._version(), var_version = ours.var._version();
          const Tensor y = batch_norm(x, weight, bias, ours, 1e-5, {activation, residual});
          const auto near = [&](const Tensor& a, const Tensor& b, double roundings) {
            const double rounding = type == torch::kBFloat16 ? 0x1p-8 : 1e-6;
            EXPECT_LE((in_double(a) - in_double(b)).abs().max().item<double>(),
                      roundings * rounding * (1 + b.abs().max().item<double>()))
                << sizes << type << static_cast<int>(activation) << with_residual;
          };
          EXPECT_EQ(y.scalar_type(), type);
          EXPECT_EQ(y.sizes(), x.sizes());
          EXPECT_GT(ours.mean._version(), mean_version)
              << "layers that fold the norm in see that it has changed";
          EXPECT_GT(ours.var._version(), var_version);
          near(y, expected, 10);
          EXPECT_TRUE(torch::allclose(in_double(ours.mean), mean, 1e-5)) << sizes;
          EXPECT_TRUE(torch::allclose(in_double(ours.var), var, 1e-5)) << sizes;
          if (type == torch::kBFloat16 && activation != Activation::none)
            continue;  // the gradient's sign is rounded
          torch::autograd::variable_list of{x, weight, bias}, of_exact{wide, weight, bias};
          if (with_residual) of.push_back(residual), of_exact.push_back(wide_residual);
          const auto gradients = torch::autograd::grad({y}, of, {dy});
          const auto exact = torch::autograd::grad({expected}, of_exact, {in_double(dy)});
          for (size_t i = 0; i < gradients.size(); ++i) near(gradients[i], exact[i], 40);
        }
}

TEST(Pooling, HalvedByMaxEqualsLibTorchs) {
  torch::manual_seed(6);
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{2, 3, 7, 10}, {1, 16, 8, 8}, {2, 20, 6, 5, 9}, {1, 64, 4, 4, 4}}) {
    const Tensor x = torch::randn(sizes);
    const Tensor expected = sizes.size() == 4 ? torch::max_pool2d(x, 2) : torch::max_pool3d(x, 2);
    const torch::NoGradGuard no_grad;
    EXPECT_TRUE(torch::equal(halved_by_max(x), expected));
    EXPECT_TRUE(torch::equal(halved_by_max(x.to(torch::kBFloat16)), expected.to(torch::kBFloat16)));
  }
  const Tensor x = torch::randn({1, 4, 4, 6, 4}).requires_grad_(), dy = torch::randn({1, 4, 2, 3, 2});
  EXPECT_TRUE(torch::equal(torch::autograd::grad({halved_by_max(x)}, {x}, {dy})[0],
                           torch::autograd::grad({torch::max_pool3d(x, 2)}, {x}, {dy})[0]));
}

TEST(Pooling, ChannelMeanAndMaxAreLibTorchsWithTheirGradients) {
  torch::manual_seed(8);
  for (const auto type : {torch::kFloat, torch::kBFloat16, torch::kDouble})
    for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{2, 40, 5, 7}, {1, 3, 4, 5, 6}}) {
      const Tensor x = torch::randn(sizes).to(type).requires_grad_();
      const Tensor y = channel_mean_and_max(x), dy = torch::randn(y.sizes()).to(type);
      const Tensor wide = x.detach().to(torch::kDouble).requires_grad_();
      const Tensor expected = torch::cat({wide.mean({1}, true), wide.amax(1, true)}, 1);
      const Tensor dx = torch::autograd::grad({y}, {x}, {dy})[0];
      const Tensor exact = torch::autograd::grad({expected}, {wide}, {dy.to(torch::kDouble)})[0];
      const double rounding = type == torch::kBFloat16 ? 0x1p-8 : 1e-6;
      const auto near = [&](const Tensor& a, const Tensor& b) {
        EXPECT_LE((a.to(torch::kDouble) - b).abs().max().item<double>(),
                  rounding * (1 + b.abs().max().item<double>()))
            << sizes << type;
      };
      near(y, expected);
      near(dx, exact);
      const torch::NoGradGuard no_grad;
      EXPECT_TRUE(torch::equal(channel_mean_and_max(x), y));
    }
}

TEST(Pooling, SpatialMeanIsTheMeanAndItsGradientLiesChannelsLast) {
  torch::manual_seed(7);
  for (const auto format : {torch::MemoryFormat::Contiguous, torch::MemoryFormat::ChannelsLast3d}) {
    const Tensor x = torch::randn({2, 5, 3, 4, 6}).contiguous(format).requires_grad_();
    const Tensor y = spatial_mean(x), dy = torch::randn({2, 5});
    EXPECT_TRUE(torch::allclose(y, x.mean({2, 3, 4}), 1e-5, 1e-6));
    const Tensor dx = torch::autograd::grad({y}, {x}, {dy})[0];
    EXPECT_TRUE(torch::allclose(dx, (dy / 72).view({2, 5, 1, 1, 1}).expand_as(x)));
    EXPECT_TRUE(dx.is_contiguous(torch::MemoryFormat::ChannelsLast3d));
  }
}

}  // namespace
}  // namespace mambaseg
