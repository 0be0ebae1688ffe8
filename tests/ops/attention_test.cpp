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
  int64_t items, heads, tokens;
  bool biased;
};

// 2^23 scores are held at a time.
const std::vector<Case> kCases = {{"all at once", 6, 2, 10, true},
                                  {"some items at a time", 12, 2, 700, true},
                                  {"some rows of an item at a time", 2, 2, 2100, true},
                                  {"without a bias", 3, 1, 50, false}};

TEST(Attention, EqualsItsDefinitionWhateverTheNumberOfPieces) {
  torch::manual_seed(5);
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.what);
    std::vector<Tensor> inputs;
    for (int i = 0; i < 3; ++i)
      inputs.push_back(torch::randn({c.items, c.tokens, c.heads, 4}).transpose(1, 2));
    AttentionBias bias;
    if (c.biased) {
      inputs.push_back(torch::randn({c.heads, c.tokens, c.tokens}));
      bias.regions = torch::randint(0, 3, {2, c.tokens}, torch::kInt);
    }
    const Tensor dy = torch::randn({c.items, c.tokens, 4 * c.heads});
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
    const std::vector<Tensor> expected = run(torch::kDouble, defined), found = run(torch::kFloat, ours);
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_LE((found[i] - expected[i]).abs().max().item<double>(),
                2e-5 * std::max(1.0, expected[i].abs().max().item<double>()))
          << "result " << i;
    const torch::NoGradGuard no_grad;
    bias.of_pairs = c.biased ? inputs[3] : Tensor();
    EXPECT_TRUE(torch::equal(attention(inputs[0], inputs[1], inputs[2], bias), found.back()));
  }
}

// With values of one, what comes out is the sum of the kept weights, each 1 / tokens before the dropout; the
// gradient of the values is how much of each was used.
TEST(Attention, DropoutIsTheSameForwardAndBackward) {
  torch::manual_seed(6);
  const Tensor zero = torch::zeros({1, 2, 2100, 1});
  const Tensor v = torch::ones_like(zero).requires_grad_(true);
  const Tensor y = attention(zero, zero, v, {}, 0.25);
  EXPECT_NEAR(y.mean().item<double>(), 1, 1e-3);
  EXPECT_GT(y.std().item<double>(), 0.005);
  const Tensor dv = torch::autograd::grad({y.sum()}, {v})[0];
  EXPECT_NEAR(dv.sum().item<double>(), y.sum().item<double>(), 1e-2);
  // Row by row: the gradient of one query's output is its own weights.
  const Tensor one = torch::autograd::grad({attention(zero, zero, v, {}, 0.25)[0][2000][0]}, {v})[0][0][0];
  EXPECT_EQ(((one * 2100 * 0.75 - 1).abs() < 1e-3).sum().item<int64_t>() + (one == 0).sum().item<int64_t>(),
            2100);
  EXPECT_GT((one == 0).sum().item<int64_t>(), 400);
}

}  // namespace
}  // namespace mambaseg
