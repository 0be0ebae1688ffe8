#include "mambaseg/ops/depthwise_conv.h"

#include <gtest/gtest.h>

#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/cuda.h>

#include "mambaseg/ops/depthwise_conv_parts.h"
#include "mambaseg/ops/plain_libtorch.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct Case {
  std::vector<int64_t> spatial, kernel, padding;
  int64_t batch = 2, channels = 5;
  bool channels_last = false, bias = true, causal = false;
};

const std::vector<Case> kCases = {
    {{11}, {4}, {2}},
    {{11}, {4}, {}, 2, 18, true, true, true},
    {{11}, {3}, {}, 1, 3, false, false, true},
    {{7, 9}, {3, 3}, {1, 1}, 3, 4, true},
    {{7, 9}, {5, 7}, {0, 6}, 1, 17, false, false},
    {{3, 4, 5}, {3, 3, 3}, {1, 1, 1}, 2, 20, true},
    {{5, 4, 6}, {5, 2, 4}, {2, 0, 3}, 1, 2},
    {{4, 4, 4}, {7, 7, 7}, {3, 3, 3}, 1, 33, true, false},
};

struct Tensors {
  Tensor x, weight, bias;
};

Tensors make_tensors(const Case& c, torch::Dtype type) {
  torch::manual_seed(3);
  std::vector<int64_t> sizes = {c.batch};
  if (!c.channels_last) sizes.push_back(c.channels);
  sizes.insert(sizes.end(), c.spatial.begin(), c.spatial.end());
  if (c.channels_last) sizes.push_back(c.channels);
  std::vector<int64_t> taps = {c.channels, 1};
  taps.insert(taps.end(), c.kernel.begin(), c.kernel.end());
  Tensors t{torch::randn(sizes).to(type), torch::randn(taps).to(type), {}};
  if (c.bias) t.bias = torch::randn({c.channels}).to(type);
  for (Tensor* tensor : {&t.x, &t.weight, &t.bias}) {
    if (tensor->defined()) tensor->requires_grad_();
  }
  return t;
}

Tensor convolve(const Case& c, const Tensors& t) {
  return depthwise_conv(t.x, t.weight, t.bias, {c.padding, c.causal, c.channels_last});
}

/// The same with LibTorch's grouped convolution.
Tensor expected_of(const Case& c, const Tensors& t) {
  Tensor x = c.channels_last ? t.x.movedim(-1, 1) : t.x;
  std::vector<int64_t> padding = c.padding;
  if (c.causal) {
    x = torch::constant_pad_nd(x, {c.kernel[0] - 1, 0});
    padding = {0};
  }
  const std::vector<int64_t> ones(padding.size(), 1);
  const Tensor y = torch::convolution(x, t.weight, t.bias, ones, padding, ones, false, {0}, c.channels);
  return c.channels_last ? y.movedim(1, -1) : y;
}

TEST(DepthwiseConv, EqualsTheGroupedConvolutionAndItsGradients) {
  for (const Case& c : kCases) {
    for (const auto type : {torch::kFloat, torch::kDouble}) {
      const double tolerance = type == torch::kFloat ? 1e-5 : 1e-12;
      const Tensors ours = make_tensors(c, type), exact = make_tensors(c, torch::kFloat);
      Tensors reference{exact.x.detach().to(torch::kDouble).requires_grad_(),
                        exact.weight.detach().to(torch::kDouble).requires_grad_(),
                        c.bias ? exact.bias.detach().to(torch::kDouble).requires_grad_() : Tensor()};
      const Tensor y = convolve(c, ours), expected = expected_of(c, reference);
      EXPECT_EQ(y.scalar_type(), type);
      ASSERT_EQ(y.sizes(), expected.sizes());
      const auto near = [&](const Tensor& a, const Tensor& b) {
        return (a.to(torch::kDouble) - b).abs().max().item<double>() <
               tolerance * b.abs().max().item<double>();
      };
      EXPECT_TRUE(near(y, expected)) << y.sizes();
      const Tensor weight = torch::randn(y.sizes());
      (y * weight).sum().backward();
      (expected * weight).sum().backward();
      EXPECT_TRUE(near(ours.x.grad(), reference.x.grad())) << y.sizes();
      EXPECT_TRUE(near(ours.weight.grad(), reference.weight.grad())) << y.sizes();
      if (c.bias) {
        EXPECT_TRUE(near(ours.bias.grad(), reference.bias.grad())) << y.sizes();
      }
    }
  }
}

TEST(DepthwiseConv, ItsActivationIsTheOneBehindItBitForBit) {
  for (const Case& c : kCases)
    for (const auto type : {torch::kFloat, torch::kBFloat16, torch::kDouble})
      for (const Activation activation : {Activation::silu, Activation::gelu, Activation::leaky_relu}) {
        const Tensors joined = make_tensors(c, type), apart = make_tensors(c, type);
        const Tensor y = depthwise_conv(joined.x, joined.weight, joined.bias,
                                        {c.padding, c.causal, c.channels_last, {}, activation}),
                     expected = activate(convolve(c, apart), activation);
        EXPECT_TRUE(torch::equal(y, expected)) << type;
        const Tensor dy = torch::randn(y.sizes()).to(type);
        y.backward(dy);
        expected.backward(dy);
        EXPECT_TRUE(torch::equal(joined.x.grad(), apart.x.grad())) << type;
        EXPECT_TRUE(torch::equal(joined.weight.grad(), apart.weight.grad())) << type;
        if (!c.bias) continue;
        EXPECT_TRUE(torch::equal(joined.bias.grad(), apart.bias.grad())) << type;
      }
}

TEST(DepthwiseConv, OnTheGpuGivesTheNumbersOfTheCpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU, or a LibTorch without CUDA";
  for (const Case& c : kCases) {
    const Tensors t = make_tensors(c, torch::kFloat), copy = make_tensors(c, torch::kFloat);
    const auto moved = [](const Tensor& tensor) {
      return tensor.defined() ? tensor.detach().to(torch::kCUDA).requires_grad_() : tensor;
    };
    const Tensors gpu{moved(copy.x), moved(copy.weight), moved(copy.bias)};
    const Tensor y = convolve(c, t), found = convolve(c, gpu), weight = torch::randn(y.sizes());
    EXPECT_TRUE(torch::allclose(found.cpu(), y, 1e-5, 1e-5));
    y.backward(weight);
    found.backward(weight.to(torch::kCUDA));
    EXPECT_TRUE(torch::allclose(gpu.x.grad().cpu(), t.x.grad(), 1e-5, 1e-5));
    EXPECT_TRUE(torch::allclose(gpu.weight.grad().cpu(), t.weight.grad(), 1e-4, 1e-4));
    if (c.bias) {
      EXPECT_TRUE(torch::allclose(gpu.bias.grad().cpu(), t.bias.grad(), 1e-4, 1e-4));
    }
  }
}

TEST(DepthwiseConv, FollowsAWalkWithoutAPermutedCopy) {
  const Case c{{11}, {4}, {}, 2, 18, true, true, true};
  torch::manual_seed(5);
  const Tensor order = torch::randperm(11), inverse = order.argsort();
  const Tensors ours = make_tensors(c, torch::kFloat), exact = make_tensors(c, torch::kFloat);
  const Tensor y = depthwise_conv(ours.x, ours.weight, ours.bias, {{}, true, true, order.to(torch::kInt32)});
  const Tensor expected =
      expected_of(c, {exact.x.index_select(1, order), exact.weight, exact.bias}).index_select(1, inverse);
  EXPECT_TRUE(torch::allclose(y, expected, 1e-5, 1e-5));
  const Tensor weight = torch::randn(y.sizes());
  (y * weight).sum().backward();
  (expected * weight).sum().backward();
  EXPECT_TRUE(torch::allclose(ours.x.grad(), exact.x.grad(), 1e-5, 1e-5));
  EXPECT_TRUE(torch::allclose(ours.weight.grad(), exact.weight.grad(), 1e-5, 1e-5));
  EXPECT_TRUE(torch::allclose(ours.bias.grad(), exact.bias.grad(), 1e-5, 1e-5));
}

TEST(DepthwiseConv, ReadsTheRowsOfAWiderTensor) {
  const Case c{{4, 5}, {3, 3}, {1, 1}, 2, 6, true};
  const Tensors t = make_tensors(c, torch::kFloat);
  const Tensor wide = torch::cat({t.x.detach(), torch::full_like(t.x, 1e9)}, 3).requires_grad_();
  const Tensor y = convolve(c, t), found = convolve(c, {wide.narrow(3, 0, 6), t.weight, t.bias});
  EXPECT_TRUE(found.equal(y));
  y.square().sum().backward();
  found.square().sum().backward();
  EXPECT_TRUE(wide.grad().narrow(3, 0, 6).equal(t.x.grad()));
}

TEST(DepthwiseConv, NumericGradientInDouble) {
  const Case c{{3, 4}, {3, 2}, {1, 1}, 1, 2};
  Tensors t = make_tensors(c, torch::kDouble);
  const Tensor weight = torch::randn(convolve(c, t).sizes(), torch::kDouble);
  (convolve(c, t) * weight).sum().backward();
  const torch::NoGradGuard no_grad;
  for (Tensor* tensor : {&t.x, &t.weight, &t.bias}) {
    Tensor flat = tensor->view({-1});
    for (int64_t i = 0; i < flat.numel(); ++i) {
      const double value = flat[i].item<double>();
      flat[i] = value + 1e-6;
      const double above = (convolve(c, t) * weight).sum().item<double>();
      flat[i] = value - 1e-6;
      const double below = (convolve(c, t) * weight).sum().item<double>();
      flat[i] = value;
      EXPECT_NEAR(tensor->grad().view({-1})[i].item<double>(), (above - below) / 2e-6, 1e-7);
    }
  }
}

TEST(DepthwiseConv, SameBitsEveryTimeAndForAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  for (const Case& c :
       {Case{{6, 7, 8}, {3, 3, 3}, {1, 1, 1}, 3, 20, true}, Case{{40}, {4}, {}, 1, 5, true, true, true}}) {
    Tensor first_y;
    for (const int count : {1, 2, 3}) {
      at::set_num_threads(count);
      std::vector<Tensor> first;
      for (int run = 0; run < 2; ++run) {
        const Tensors t = make_tensors(c, torch::kFloat);
        const Tensor y = convolve(c, t);
        y.square().sum().backward();
        const std::vector<Tensor> results = {y, t.x.grad(), t.weight.grad(), t.bias.grad()};
        if (!first_y.defined()) first_y = y;
        EXPECT_TRUE(y.equal(first_y)) << count;
        if (run == 0) first = results;
        for (size_t i = 0; i < results.size(); ++i)
          EXPECT_TRUE(results[i].equal(first[i])) << count << " " << i;
      }
    }
  }
  at::set_num_threads(threads);
}

TEST(DepthwiseConv, TakesTensorsThatAreNotContiguous) {
  const Case c{{4, 5, 6}, {3, 3, 3}, {1, 1, 1}};
  const Tensors t = make_tensors(c, torch::kFloat);
  const Tensor y = convolve(c, t);
  const Tensor permuted = t.x.detach().permute({0, 2, 3, 4, 1}).contiguous().permute({0, 4, 1, 2, 3});
  ASSERT_FALSE(permuted.is_contiguous());
  EXPECT_TRUE(convolve(c, {permuted, t.weight, t.bias}).equal(y));
}

TEST(DepthwiseConv, LibTorchGivesTheNumbersOfTheKernel) {
  // What runs under a guard is what runs on a GPU without our kernels.
  const auto both = [](auto&& convolve, std::vector<Tensor> operands) {
    const auto all = [&] {
      const Tensor y = convolve();
      const Tensor weight = torch::cos(torch::arange(y.numel()).view(y.sizes()));
      std::vector<Tensor> results = torch::autograd::grad({(y * weight).sum()}, operands);
      results.push_back(y);
      return results;
    };
    const std::vector<Tensor> ours = all();
    const PlainLibTorchGuard plain;
    const std::vector<Tensor> found = all();
    for (size_t i = 0; i < ours.size(); ++i)
      EXPECT_TRUE(torch::allclose(found[i], ours[i], 1e-5, 1e-5)) << ours[i].sizes();
  };
  for (const Case& c : kCases) {
    const Tensors t = make_tensors(c, torch::kFloat);
    std::vector<Tensor> operands{t.x, t.weight};
    if (c.bias) operands.push_back(t.bias);
    both([&] { return convolve(c, t); }, operands);
  }
  const Tensor x = torch::randn({2, 9, 5}).requires_grad_(),
               weight = torch::randn({5, 1, 4}).requires_grad_(), bias = torch::randn({5}).requires_grad_();
  const Tensor order = torch::randperm(9).to(torch::kInt32);
  both([&] { return depthwise_conv(x, weight, bias, {{}, true, true, order}); }, {x, weight, bias});
}

TEST(DepthwiseConv, GradientsByLibTorchAreThoseOfTheKernel) {
  // A GPU takes LibTorch's where they are faster.
  const DepthwiseImplementation &libtorch = kDepthwiseImplementations[1],
                                &kernel = kDepthwiseImplementations[2];
  const auto expect_equal = [&](const Case& c, const Tensor& order) {
    const Tensors t = make_tensors(c, torch::kFloat);
    const Tensor x = t.x.detach(), weight = t.weight.detach(), bias = c.bias ? t.bias.detach() : Tensor();
    DepthwiseGeometry geometry{c.padding, c.padding, c.channels_last, order};
    if (c.causal) geometry.front = {c.kernel[0] - 1}, geometry.back = {0};
    const Tensor y = kernel.forward(x, weight, bias, geometry);
    EXPECT_TRUE(torch::allclose(libtorch.forward(x, weight, bias, geometry), y, 1e-5, 1e-5)) << y.sizes();
    const Tensor grad_y = torch::randn(y.sizes());
    const DepthwiseGradients found = libtorch.backward(x, weight, c.bias, geometry, grad_y),
                             expected = kernel.backward(x, weight, c.bias, geometry, grad_y);
    EXPECT_TRUE(torch::allclose(found.x, expected.x, 1e-5, 1e-5)) << y.sizes();
    EXPECT_TRUE(torch::allclose(found.weight, expected.weight, 1e-4, 1e-4)) << y.sizes();
    ASSERT_EQ(found.bias.defined(), c.bias);
    if (c.bias) {
      EXPECT_TRUE(torch::allclose(found.bias, expected.bias, 1e-4, 1e-4)) << y.sizes();
    }
  };
  for (const Case& c : kCases) expect_equal(c, {});
  expect_equal({{11}, {4}, {}, 2, 18, true, true, true}, torch::randperm(11).to(torch::kInt32));
}

TEST(DepthwiseConv, RefusesWhatDoesNotFit) {
  const Tensor x = torch::randn({1, 4, 5, 5}), weight = torch::randn({4, 1, 3, 3}), bias = torch::randn({4});
  const DepthwiseConvOptions options{{1, 1}};
  EXPECT_NO_THROW(depthwise_conv(x, weight, bias, options));
  EXPECT_THROW(depthwise_conv(x, torch::randn({3, 1, 3, 3}), bias, options), c10::Error);
  EXPECT_THROW(depthwise_conv(x, torch::randn({4, 2, 3, 3}), bias, options), c10::Error);
  EXPECT_THROW(depthwise_conv(x, torch::randn({4, 1, 3}), bias, options), c10::Error);
  EXPECT_THROW(depthwise_conv(x, weight, torch::randn({5}), options), c10::Error);
  EXPECT_THROW(depthwise_conv(x, weight, bias, {{1}}), c10::Error);
  EXPECT_THROW(depthwise_conv(x, torch::randn({4, 1, 8, 8}), bias, options), c10::Error);
  EXPECT_THROW(depthwise_conv(x, weight, bias, {{}, true}), c10::Error);
  const Tensor order = torch::arange(5, torch::kInt32);
  EXPECT_THROW(depthwise_conv(x, weight, bias, {{1, 1}, false, false, order}), c10::Error);
  const Tensor line = torch::randn({1, 5, 4}), taps = torch::randn({4, 1, 3});
  EXPECT_NO_THROW(depthwise_conv(line, taps, bias, {{}, true, true, order}));
  EXPECT_THROW(depthwise_conv(line, taps, bias, {{0}, false, true, order}), c10::Error) << "a shorter result";
  EXPECT_THROW(depthwise_conv(line, taps, bias, {{}, true, true, order.to(torch::kMeta)}), c10::Error);
  EXPECT_THROW(depthwise_conv(x.to(torch::kInt64), weight, bias, options), c10::Error);
  EXPECT_THROW(depthwise_conv(torch::randn({0, 4, 5, 5}), weight, bias, options), c10::Error);
}

}  // namespace
}  // namespace mambaseg
