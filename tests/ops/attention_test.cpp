#include "mambaseg/ops/attention.h"

#include <gtest/gtest.h>

#include <torch/autograd.h>

namespace mambaseg {
namespace {

using torch::Tensor;

/// The definition, all scores at once, in double.
Tensor defined(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionBias& bias) {
  Tensor scores = torch::matmul(q, k.transpose(-2, -1)) / std::sqrt(static_cast<double>(q.size(3)));
  if (bias.of_pairs.defined()) scores = scores + bias.of_pairs;
  if (bias.regions.defined()) {
    const Tensor r = bias.regions.repeat({q.size(0) / bias.regions.size(0), 1});
    scores = scores - 100 * (r.unsqueeze(1) != r.unsqueeze(2)).unsqueeze(1).to(torch::kDouble);
  }
  return torch::matmul(scores.softmax(-1), v).transpose(1, 2).flatten(2, 3);
}

struct Case {
  const char* what;
  int64_t items, heads, tokens, size;
  bool biased;
};

// LibTorch's operations hold 2^23 scores at a time; the kernels divide heads among the threads.
const std::vector<Case> kCases = {{"all at once", 6, 2, 10, 4, true},
                                  {"some items at a time", 12, 2, 700, 4, true},
                                  {"some rows of an item at a time", 2, 2, 2100, 4, true},
                                  {"windows", 8, 3, 49, 24, true},
                                  {"without a bias", 3, 1, 50, 64, false}};

struct Way {
  torch::ScalarType type;
  double error;  ///< of the largest number
};

// bf16: eight bits of the operands and the results.
const Way kKernels{torch::kFloat, 2e-5}, kKernelsInBf16{torch::kBFloat16, 0x1p-6},
    kLibTorch{torch::kDouble, 1e-12};

TEST(Attention, EqualsItsDefinitionWhateverTheNumberOfPieces) {
  torch::manual_seed(5);
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.what);
    std::vector<Tensor> inputs;
    for (int i = 0; i < 3; ++i)
      inputs.push_back(torch::randn({c.items, c.tokens, c.heads, c.size}).transpose(1, 2));
    AttentionBias bias;
    if (c.biased) {
      inputs.push_back(torch::randn({c.heads, c.tokens, c.tokens}));
      bias.regions = torch::randint(0, 3, {2, c.tokens}, torch::kInt);
    }
    const Tensor dy = torch::randn({c.items, c.tokens, c.size * c.heads});
    const auto run = [&](torch::ScalarType type, auto&& operation) {
      std::vector<Tensor> leaves;
      for (const Tensor& t : inputs) leaves.push_back(t.to(type).detach().requires_grad_(true));
      bias.of_pairs = c.biased ? leaves[3] : Tensor();
      const Tensor y = operation(leaves[0], leaves[1], leaves[2], bias);
      std::vector<Tensor> results = torch::autograd::grad({y}, leaves, {dy.to(type)});
      results.push_back(y.detach());
      return results;
    };
    const auto ours = [](const Tensor& q, const Tensor& k, const Tensor& v, const AttentionBias& b) {
      return attention(q, k, v, b);
    };
    const std::vector<Tensor> expected = run(torch::kDouble, defined);
    for (const Way& way : {kKernels, kKernelsInBf16, kLibTorch}) {
      const std::vector<Tensor> found = run(way.type, ours);
      for (size_t i = 0; i < expected.size(); ++i)
        EXPECT_LE((found[i].to(torch::kDouble) - expected[i]).abs().max().item<double>(),
                  way.error * std::max(1.0, expected[i].abs().max().item<double>()))
            << "result " << i << " in " << way.type;
      const torch::NoGradGuard no_grad;
      const auto given = [&](size_t i) { return inputs[i].to(way.type); };
      bias.of_pairs = c.biased ? given(3) : Tensor();
      EXPECT_TRUE(torch::equal(attention(given(0), given(1), given(2), bias), found.back()));
    }
  }
}

// With values of one, what comes out is the sum of the kept weights, and the gradient of the values is how
// much of each was used. All numbers are powers of two or sums of few of them, so that the sums are exact.
TEST(Attention, DropoutIsTheSameForwardAndBackward) {
  constexpr int64_t kTokens = 2048;
  for (const torch::ScalarType type : {torch::kFloat, torch::kDouble}) {
    torch::manual_seed(6);
    const Tensor zero = torch::zeros({1, 3, kTokens, 1}, type);
    const Tensor v = torch::ones_like(zero).requires_grad_(true);
    const Tensor y = attention(zero, zero, v, {}, 0.5);
    EXPECT_NEAR(y.mean().item<double>(), 1, 1e-3);
    EXPECT_GT(y.std().item<double>(), 0.005);
    const Tensor dv = torch::autograd::grad({y.sum()}, {v})[0];
    EXPECT_EQ(dv.sum({1, 2, 3}).item<double>(), y.sum({1, 2}).item<double>());
    // Row by row: the gradient of one query's output is its own weights.
    const Tensor out = attention(zero, zero, v, {}, 0.5)[0][2000][0];
    const Tensor one = torch::autograd::grad({out}, {v})[0][0][0];
    EXPECT_EQ(one.sum().item<double>(), out.item<double>());
    EXPECT_EQ(((one == 2.0 / kTokens) + (one == 0)).sum().item<int64_t>(), kTokens);
    EXPECT_GT((one == 0).sum().item<int64_t>(), 800);
  }
}

TEST(Attention, RefusesTensorsOfSeveralTypes) {
  const Tensor x = torch::zeros({1, 1, 4, 2});
  EXPECT_THROW(attention(x, x, x.to(torch::kDouble)), c10::Error);
}

}  // namespace
}  // namespace mambaseg
