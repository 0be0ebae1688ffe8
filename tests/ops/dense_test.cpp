#include "mambaseg/ops/dense.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mambaseg/ops/cast_weights.h"
#include "mambaseg/ops/channels_last.h"
#include "mambaseg/ops/plain_libtorch.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr double kSingle = 0x1p-24, kBrain = 0x1p-8;  // relative error of one rounding
constexpr double kSteepest = 1.2;                     // slope of the activations, at most

struct Case {
  std::vector<int64_t> spatial, kernel;
  int64_t in, out;
  std::vector<int64_t> stride, padding, dilation;
  int64_t groups = 1;
  bool bias = true;
};

const std::vector<Case> kCases = {
    {{9, 7}, {3, 3}, 5, 7, {1, 1}, {1, 1}, {1, 1}},
    {{16, 12}, {2, 2}, 8, 24, {2, 2}, {0, 0}, {1, 1}, 1, false},
    {{11, 13}, {3, 3}, 16, 32, {1, 1}, {3, 3}, {3, 3}},
    {{15, 9}, {7, 7}, 3, 16, {2, 2}, {3, 3}, {1, 1}},
    {{6, 6}, {3, 3}, 8, 12, {1, 1}, {1, 1}, {1, 1}, 4},
    {{5, 7, 6}, {3, 3, 3}, 1, 16, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},
    {{6, 5, 8}, {3, 3, 3}, 32, 16, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}},
    {{6, 6, 6}, {1, 1, 1}, 24, 9, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}},
    {{7, 9, 6}, {3, 3, 3}, 6, 10, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},
    {{4, 8, 8}, {1, 3, 3}, 16, 16, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}, 1, false},
    {{5, 6, 7}, {3, 3, 3}, 20, 20, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 20},
};

std::vector<int64_t> joined(std::vector<int64_t> front, const std::vector<int64_t>& back) {
  front.insert(front.end(), back.begin(), back.end());
  return front;
}

struct Operands {
  Tensor x, weight, bias, residual;
  ConvolutionOptions options;
};

Tensor exact(const Operands& o, bool absolute = false) {
  const auto wide = [&](const Tensor& t) {
    return !t.defined() ? t : absolute ? t.detach().to(torch::kDouble).abs() : t.to(torch::kDouble);
  };
  const std::vector<int64_t> zeros(o.options.stride.size(), 0);
  return torch::convolution(wide(o.x), wide(o.weight), wide(o.bias), o.options.stride, o.options.padding,
                            o.options.dilation, false, zeros, o.options.groups);
}

Operands operands(const Case& c, torch::ScalarType type) {
  torch::manual_seed(5);
  Operands o{torch::randn(joined({2, c.in}, c.spatial)).to(type),
             torch::randn(joined({c.out, c.in / c.groups}, c.kernel)),
             c.bias ? torch::randn({c.out}) : Tensor(),
             {},
             {c.stride, c.padding, c.dilation, c.groups}};
  o.residual = torch::randn(exact(o).sizes()).to(type);
  return o;
}

/// What roundings may change: of weights, of the sum before the epilogue (by LibTorch in a build without
/// oneDNN) and of the result (bf16), of sums and inside the activation (fp32).
Tensor tolerance(const Tensor& sum_of_absolutes, const Tensor& y, int64_t terms, torch::ScalarType type) {
  const double term = static_cast<double>(terms + 8) * kSingle + (type == torch::kBFloat16 ? 2 * kBrain : 0);
  return kSteepest * (sum_of_absolutes * term) +
         (y.abs() + 1e-30) * (type == torch::kBFloat16 ? kBrain : 4 * kSingle);
}

void expect_within(const Tensor& got, const Tensor& expected, const Tensor& bound, const std::string& what) {
  ASSERT_EQ(got.sizes(), expected.sizes()) << what;
  const Tensor excess = (got.to(torch::kDouble) - expected).abs() - bound;
  EXPECT_LE(excess.max().item<double>(), 0) << what;
}

TEST(Dense, ConvolutionEqualsLibTorchsInBothTypes) {
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < kCases.size(); ++i)
    for (const auto type : {torch::kFloat, torch::kBFloat16})
      for (const auto activation : {Activation::none, Activation::relu, Activation::leaky_relu,
                                    Activation::gelu, Activation::silu, Activation::sigmoid}) {
        const Operands o = operands(kCases[i], type);
        const bool with_residual = activation != Activation::gelu;
        Tensor expected = exact(o), magnitude = exact(o, true);
        if (with_residual)
          expected = expected + o.residual.to(torch::kDouble), magnitude = magnitude + o.residual.abs();
        expected = activate(expected, activation);
        const Tensor y = convolution(o.x, {o.weight, o.bias}, o.options,
                                     {activation, with_residual ? o.residual : Tensor()});
        EXPECT_EQ(y.scalar_type(), type);
        const int64_t terms = o.weight[0].numel();
        // The depthwise kernels round before the residual and the activation.
        const double roundings = o.options.groups == o.x.size(1) ? 3 : 1;
        expect_within(
            y, expected, roundings * tolerance(magnitude, expected, terms, type),
            "case " + std::to_string(i) + ", activation " + std::to_string(static_cast<int>(activation)));
      }
}

TEST(Dense, ConvolutionTakesAnyStrides) {
  const torch::NoGradGuard no_grad;
  const Operands o = operands(kCases[6], torch::kFloat);
  const Tensor plain = convolution(o.x, {o.weight, o.bias}, o.options);
  const Tensor turned = o.x.permute({0, 4, 3, 2, 1}).contiguous().permute({0, 4, 3, 2, 1});
  EXPECT_TRUE(torch::equal(convolution(turned, {o.weight, o.bias}, o.options), plain));
  if (dense_target() != std::string("no oneDNN")) {  // LibTorch chooses its own layout
    EXPECT_TRUE(plain.is_contiguous(at::MemoryFormat::ChannelsLast3d));
  }
}

TEST(Dense, GradientsOfTheConvolutionEqualLibTorchs) {
  for (size_t i = 0; i < kCases.size(); ++i) {
    Operands ours = operands(kCases[i], torch::kFloat);
    Operands wide = ours;
    std::vector<std::pair<Tensor*, Tensor*>> pairs{
        {&ours.x, &wide.x}, {&ours.weight, &wide.weight}, {&ours.residual, &wide.residual}};
    if (ours.bias.defined()) pairs.push_back({&ours.bias, &wide.bias});
    for (auto& [a, b] : pairs) {
      *b = a->to(torch::kDouble).requires_grad_();
      *a = a->clone().requires_grad_();
    }
    const Tensor y = torch::relu(exact(wide) + wide.residual);
    const Tensor dy = torch::randn_like(y);
    y.backward(dy);
    const Tensor z =
        convolution(ours.x, {ours.weight, ours.bias}, ours.options, {Activation::relu, ours.residual});
    z.backward(dy.to(torch::kFloat));
    for (const auto& [a, b] : pairs) {
      // Sums of at most some thousand products of numbers near 1.
      const double scale = b->grad().abs().max().item<double>();
      EXPECT_LE((a->grad().to(torch::kDouble) - b->grad()).abs().max().item<double>(), 1e-5 * scale) << i;
    }
  }
}

/// Freed memory that is not a number: what an operation reads or leaves without having written it shows.
void spoil_freed_memory() {
  for (int64_t bytes = 64; bytes <= (1 << 20); bytes *= 2) {
    std::vector<Tensor> blocks;
    for (int i = 0; i < 8; ++i) blocks.push_back(torch::full({bytes / 4}, std::nan("")));
  }
}

TEST(Dense, GradientsOfWeightsDependOnWhatIsThereOnly) {
  struct Shape {
    int64_t in, out, edge, kernel, dilation, groups;
  };
  // Taps that never meet the image; depthwise with gaps; few channels in a group.
  for (const Shape& s : {Shape{128, 32, 2, 7, 1, 1}, Shape{16, 16, 2, 5, 2, 1}, Shape{8, 8, 16, 7, 2, 8},
                         Shape{2, 2, 64, 3, 2, 2}, Shape{32, 32, 16, 3, 2, 16}})
    for (const auto type : {torch::kFloat, torch::kBFloat16}) {
      if (type == torch::kBFloat16 && !has_bf16_arithmetic()) continue;
      torch::manual_seed(2);
      const int64_t padding = s.kernel / 2 * s.dilation;
      const ConvolutionOptions o{{1, 1}, {padding, padding}, {s.dilation, s.dilation}, s.groups};
      const Tensor x = channels_last(torch::rand({2, s.in, s.edge, s.edge}).to(type));
      const Tensor weight = torch::rand({s.out, s.in / s.groups, s.kernel, s.kernel}).requires_grad_();
      const Tensor y = convolution(x, {weight, {}}, o);
      const Tensor dy = torch::rand_like(y);
      spoil_freed_memory();
      const Tensor found = torch::autograd::grad({y}, {weight}, {dy})[0];
      const Tensor exact_weight = weight.detach().to(torch::kDouble).requires_grad_();
      const Tensor exact = at::convolution(x.to(torch::kDouble), exact_weight, {}, o.stride, o.padding,
                                           o.dilation, false, {0, 0}, o.groups);
      const Tensor expected = torch::autograd::grad({exact}, {exact_weight}, {dy.to(torch::kDouble)})[0];
      EXPECT_LE((found - expected).abs().max().item<double>(), 1e-5 * expected.abs().max().item<double>())
          << s.in << " to " << s.out << ", edge " << s.kernel << " on " << s.edge << ", " << type;
    }
}

TEST(Dense, FixedNormIsFoldedIn) {
  const torch::NoGradGuard no_grad;
  for (const size_t i : {size_t{0}, size_t{1}, size_t{6}, size_t{10}}) {
    const Operands o = operands(kCases[i], torch::kFloat);
    const int64_t C = o.weight.size(0);
    const FixedNorm norm{torch::rand({C}) + 0.5, torch::randn({C}), torch::randn({C}),
                         torch::rand({C}) + 0.5};
    const auto normed = [&](const Tensor& y) {
      const auto as_double = [](const Tensor& t) { return t.to(torch::kDouble); };
      return torch::batch_norm(y, as_double(norm.weight), as_double(norm.bias), as_double(norm.mean),
                               as_double(norm.var), false, 0, norm.eps, false);
    };
    const Tensor expected = torch::relu(normed(exact(o)));
    const Tensor y = convolution(o.x, {o.weight, o.bias, {}, &norm}, o.options, {Activation::relu, {}});
    const double bound = 1e-5 * (1 + expected.abs().max().item<double>());
    EXPECT_LE((y.to(torch::kDouble) - expected).abs().max().item<double>(), bound) << i;
  }
}

TEST(Dense, PackedWeightsFollowTheirParameters) {
  const torch::NoGradGuard no_grad;
  Operands o = operands(kCases[6], torch::kFloat);
  const PackedWeights packed;
  const auto run = [&] { return convolution(o.x, {o.weight, o.bias, packed}, o.options); };
  const auto fresh = [&] { return convolution(o.x, {o.weight, o.bias}, o.options); };
  const Tensor before = run();
  EXPECT_TRUE(torch::equal(run(), before));
  o.weight.mul_(2);  // in place, as an optimiser does
  EXPECT_TRUE(torch::equal(run(), fresh()));
  o.bias.add_(1);
  EXPECT_TRUE(torch::equal(run(), fresh()));
  o.weight = torch::randn_like(o.weight);  // another tensor
  EXPECT_TRUE(torch::equal(run(), fresh()));
  o.x = torch::randn({1, 32, 4, 4, 4});  // another size
  EXPECT_TRUE(torch::equal(run(), fresh()));
  o.x = o.x.to(torch::kBFloat16);  // another type
  EXPECT_TRUE(torch::equal(run(), fresh()));
}

// LibTorch's SGD changes parameters through data(), which their version does not tell.
TEST(Dense, WhatIsPackedForTrainingIsNotUsedAgain) {
  Operands o = operands(kCases[6], torch::kFloat);
  torch::Tensor weight = o.weight.detach().clone().requires_grad_();
  const Tensor matrix = torch::randn({9, 5}).requires_grad_(), rows = torch::randn({4, 5});
  const PackedWeights packed, packed_matrix;
  const auto both = [&](const PackedWeights& a, const PackedWeights& b) {
    return std::pair(convolution(o.x, {weight, o.bias, a}, o.options), linear(rows, {matrix, {}, b}));
  };
  const auto expect_fresh = [&] {
    const auto ours = both(packed, packed_matrix), fresh = both({}, {});
    EXPECT_TRUE(torch::equal(ours.first, fresh.first));
    EXPECT_TRUE(torch::equal(ours.second, fresh.second));
  };
  for (int step = 0; step < 3; ++step) {
    const auto [y, z] = both(packed, packed_matrix);
    (y.square().sum() + z.sum()).backward();
    weight.data().add_(weight.grad(), -0.1);
    matrix.data().mul_(1.5);
    expect_fresh();
    const torch::NoGradGuard no_grad;
    expect_fresh();
  }
}

TEST(Dense, LinearEqualsLibTorchsInBothTypes) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(7);
  for (const auto& [in, out] : {std::pair{5, 3}, std::pair{64, 48}, std::pair{33, 130}})
    for (const auto type : {torch::kFloat, torch::kBFloat16})
      for (const auto activation : {Activation::none, Activation::gelu, Activation::silu}) {
        const Tensor wide = torch::randn({2, 3, 4, in + 6}).to(type),
                     x = wide.narrow(3, 2, in);  // rows apart
        const Tensor weight = torch::randn({out, in}), bias = torch::randn({out});
        const Tensor residual = torch::randn({2, 3, 4, out}).to(type);
        const auto as_double = [](const Tensor& t) { return t.to(torch::kDouble); };
        const Tensor expected =
            activate(torch::linear(as_double(x), as_double(weight), as_double(bias)) + as_double(residual),
                     activation);
        const Tensor magnitude =
            torch::linear(as_double(x).abs(), as_double(weight).abs(), as_double(bias).abs()) +
            residual.abs();
        const Tensor y = linear(x, {weight, bias}, {activation, residual});
        EXPECT_EQ(y.scalar_type(), type);
        expect_within(y, expected, tolerance(magnitude, expected, in, type), std::to_string(in));
        const Tensor single = linear(x, {weight, bias}, {activation, residual}, torch::kFloat);
        EXPECT_EQ(single.scalar_type(), torch::kFloat);
        expect_within(single, expected, tolerance(magnitude, expected, in, type), std::to_string(in));
      }
}

TEST(Dense, LinearHasLibTorchsGradientsInBothTypes) {
  torch::manual_seed(8);
  const auto as_double = [](const Tensor& t) { return t.detach().to(torch::kDouble); };
  for (const auto& [in, out] : {std::pair{5, 3}, std::pair{64, 64}, std::pair{33, 130}})
    for (const auto type : {torch::kFloat, torch::kBFloat16})
      for (const auto result : {type, torch::kFloat})
        for (const bool with_bias : {true, false}) {
          const Tensor wide = torch::randn({2, 3, 4, in + 6}).to(type).requires_grad_();
          const Tensor x = wide.narrow(3, 2, in);  // rows apart
          const Tensor weight = torch::randn({out, in}).requires_grad_(),
                       bias = with_bias ? torch::randn({out}).requires_grad_() : Tensor();
          const Tensor y = linear(x, {weight, bias}, {}, result);
          const Tensor dy = torch::randn_like(y);
          y.backward(dy);
          // What comes back is rounded to the type of x first.
          const Tensor rows = as_double(x).reshape({-1, in}),
                       drows = as_double(dy.to(type)).reshape({-1, out});
          const auto expect = [&](const Tensor& got, const Tensor& left, const Tensor& right, int64_t terms) {
            const Tensor expected = left.matmul(right);
            expect_within(as_double(got).reshape(expected.sizes()), expected,
                          tolerance(left.abs().matmul(right.abs()), expected, terms, type),
                          std::to_string(in));
          };
          expect(wide.grad().narrow(3, 2, in), drows, as_double(weight), out);
          expect(weight.grad(), drows.t(), rows, rows.size(0));
          EXPECT_EQ(weight.grad().scalar_type(), torch::kFloat);
          if (with_bias)
            expect(bias.grad().unsqueeze(0), torch::ones({1, rows.size(0)}, torch::kDouble), drows,
                   rows.size(0));
        }
}

TEST(Dense, DoubleAndPlainLibTorchAreLibTorchs) {
  const torch::NoGradGuard no_grad;
  const Operands o = operands(kCases[6], torch::kFloat);
  const Tensor wide = convolution(o.x.to(torch::kDouble), {o.weight, o.bias}, o.options);
  EXPECT_TRUE(torch::allclose(wide, exact(o), 1e-12, 1e-12));
  const PlainLibTorchGuard plain;
  const Tensor y = convolution(o.x, {o.weight, o.bias}, o.options);
  EXPECT_TRUE(torch::equal(y, torch::convolution(o.x, o.weight, o.bias, o.options.stride, o.options.padding,
                                                 o.options.dilation, false, {0, 0, 0}, 1)));
}

TEST(Dense, LibTorchsWeightsInBf16AreCastOnceAndWhenTheyChange) {
  const torch::NoGradGuard no_grad;
  const PlainLibTorchGuard plain;
  const Tensor x = torch::randn({5, 8}).to(torch::kBFloat16);
  DenseWeights w{torch::randn({6, 8}), torch::randn({6})};
  const auto expected = [&] {
    return torch::linear(x, w.weight.to(torch::kBFloat16), w.bias.to(torch::kBFloat16));
  };
  const Tensor first = cast_weights(w, torch::kBFloat16).first;
  EXPECT_TRUE(linear(x, w).equal(expected()));
  EXPECT_TRUE(cast_weights(w, torch::kBFloat16).first.is_same(first));
  EXPECT_EQ(cast_weights(w, torch::kHalf).first.scalar_type(), torch::kHalf);
  w.weight.mul_(2);
  EXPECT_TRUE(linear(x, w).equal(expected())) << "changed in place";
  w.bias = torch::randn({6});
  EXPECT_TRUE(linear(x, w).equal(expected())) << "another tensor";
  const Tensor before = cast_weights(w, torch::kBFloat16).first;
  w.packed.forget();
  EXPECT_FALSE(cast_weights(w, torch::kBFloat16).first.is_same(before));
}

TEST(Dense, RefusesWhatDoesNotFit) {
  const Operands o = operands(kCases[6], torch::kFloat);
  EXPECT_THROW(convolution(o.x.narrow(1, 0, 3), {o.weight, o.bias}, o.options), c10::Error);
  EXPECT_THROW(convolution(o.x[0], {o.weight, o.bias}, o.options), c10::Error);
  ConvolutionOptions wide = o.options;
  wide.dilation = {9, 9, 9};
  EXPECT_THROW(convolution(o.x, {o.weight, o.bias}, wide), c10::Error);
}

}  // namespace
}  // namespace mambaseg
