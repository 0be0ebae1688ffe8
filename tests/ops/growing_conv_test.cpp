#include "mambaseg/ops/growing_conv.h"

#include <gtest/gtest.h>

#include <torch/autograd.h>

namespace mambaseg {
namespace {

using torch::Tensor;

Tensor wide(const Tensor& t) { return t.to(torch::kDouble); }

/// Largest difference over the largest number.
double error(const Tensor& got, const Tensor& expected) {
  EXPECT_EQ(got.sizes(), expected.sizes());
  return ((wide(got) - expected).abs().max() / expected.abs().max()).item<double>();
}

// fp32: a few hundred products summed in another order; bf16: weights and result are rounded to 8 bits.
double bound(torch::ScalarType type) { return type == torch::kBFloat16 ? 0x1p-7 : 2e-6; }

TEST(GrowingConv, DoubledEqualsNearestNeighbourAndConvolution) {
  torch::manual_seed(1);
  for (const std::vector<int64_t>& spatial : {std::vector<int64_t>{5, 7}, {3, 4, 5}}) {
    std::vector<int64_t> sizes{2, 9}, taps{6, 9}, doubled;
    for (const int64_t size : spatial) sizes.push_back(size), taps.push_back(3), doubled.push_back(2 * size);
    const Tensor x = torch::randn(sizes).requires_grad_(), weight = torch::randn(taps).requires_grad_(),
                 bias = torch::randn({6}).requires_grad_();
    const auto reference = [&](const Tensor& x_, const Tensor& w, const Tensor& b) {
      const Tensor grown = spatial.size() == 2 ? torch::upsample_nearest2d(x_, doubled)
                                               : torch::upsample_nearest3d(x_, doubled);
      const std::vector<int64_t> ones(spatial.size(), 1), zeros(spatial.size(), 0);
      return torch::convolution(grown, w, b, ones, ones, ones, false, zeros, 1);
    };
    GrowingWeights kept;
    const Tensor dx = wide(x.detach()).requires_grad_(), dw = wide(weight.detach()).requires_grad_(),
                 db = wide(bias.detach()).requires_grad_();
    const Tensor expected = reference(dx, dw, db), dy = torch::randn_like(expected);
    const Tensor y = doubled_convolution(x, weight, bias, kept);
    EXPECT_LE(error(y.detach(), expected.detach()), bound(torch::kFloat));
    const auto ours = torch::autograd::grad({y}, {x, weight, bias}, {dy.to(torch::kFloat)});
    const auto theirs = torch::autograd::grad({expected}, {dx, dw, db}, {dy});
    for (size_t i = 0; i < ours.size(); ++i) EXPECT_LE(error(ours[i], theirs[i]), 1e-5) << i;

    const torch::NoGradGuard no_grad;
    for (const auto type : {torch::kFloat, torch::kBFloat16}) {
      const Tensor given = x.to(type);
      EXPECT_LE(error(doubled_convolution(given, weight, bias, kept), reference(wide(given), dw, db)),
                bound(type));
    }
    weight.mul_(-2);  // what was derived follows the parameter
    EXPECT_LE(error(doubled_convolution(x, weight, bias, kept), reference(dx, -2 * dw, db)),
              bound(torch::kFloat));
    {
      const torch::AutoGradMode recorded(true);
      doubled_convolution(x, weight, bias, kept);
    }
    weight.data().mul_(-0.5);  // as LibTorch's SGD does; the version does not tell
    EXPECT_LE(error(doubled_convolution(x, weight, bias, kept), reference(dx, dw, db)), bound(torch::kFloat));
  }
}

TEST(GrowingConv, BlocksEqualTheTransposedConvolution) {
  torch::manual_seed(2);
  const torch::NoGradGuard no_grad;
  for (const std::vector<int64_t>& edges : {std::vector<int64_t>{2, 2}, {4, 3}, {2, 2, 2}, {1, 2, 3}})
    for (const bool with_bias : {true, false})
      for (const auto type : {torch::kFloat, torch::kBFloat16}) {
        std::vector<int64_t> sizes{2, 10}, taps{10, 7};
        for (const int64_t edge : edges) sizes.push_back(edge + 2), taps.push_back(edge);
        const Tensor x = torch::randn(sizes).to(type), weight = torch::randn(taps);
        const Tensor bias = with_bias ? torch::randn({7}) : Tensor();
        const std::vector<int64_t> ones(edges.size(), 1), zeros(edges.size(), 0);
        const Tensor expected = torch::convolution(wide(x), wide(weight), with_bias ? wide(bias) : bias,
                                                   edges, zeros, ones, true, zeros, 1);
        GrowingWeights kept;
        const Tensor y = block_convolution(x, weight, bias, kept);
        EXPECT_EQ(y.scalar_type(), type);
        EXPECT_LE(error(y, expected), bound(type));
      }
}

TEST(GrowingConv, BlocksHaveTheGradientsOfTheTransposedConvolution) {
  torch::manual_seed(3);
  for (const std::vector<int64_t>& edges : {std::vector<int64_t>{2, 2}, {4, 3}, {2, 2, 2}, {1, 2, 3}})
    for (const auto type : {torch::kFloat, torch::kBFloat16}) {
      std::vector<int64_t> sizes{2, 10}, taps{10, 7};
      for (const int64_t edge : edges) sizes.push_back(edge + 2), taps.push_back(edge);
      const Tensor x = torch::randn(sizes).to(type).set_requires_grad(true);
      const Tensor weight = torch::randn(taps).set_requires_grad(true);
      const Tensor bias = torch::randn({7}).set_requires_grad(true);
      const std::vector<int64_t> ones(edges.size(), 1), zeros(edges.size(), 0);
      GrowingWeights kept;
      const Tensor y = block_convolution(x, weight, bias, kept);
      const Tensor dy = torch::randn_like(y);
      const auto of = [](const Tensor& z, const std::vector<Tensor>& leaves, const Tensor& dz) {
        return torch::autograd::grad({z}, leaves, {dz});
      };
      const std::vector<Tensor> leaves{wide(x.detach()).set_requires_grad(true),
                                       wide(weight.detach()).set_requires_grad(true),
                                       wide(bias.detach()).set_requires_grad(true)};
      const Tensor z =
          torch::convolution(leaves[0], leaves[1], leaves[2], edges, zeros, ones, true, zeros, 1);
      const auto ours = of(y, {x, weight, bias}, dy), expected = of(z, leaves, wide(dy));
      EXPECT_LE(error(y, z), bound(type));
      for (size_t i = 0; i < ours.size(); ++i) {
        EXPECT_EQ(ours[i].sizes(), expected[i].sizes());
        EXPECT_LE(error(ours[i], expected[i]), bound(type)) << i;
      }
    }
}

}  // namespace
}  // namespace mambaseg
