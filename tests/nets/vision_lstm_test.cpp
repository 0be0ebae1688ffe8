#include "mambaseg/nets/blocks/vision_lstm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace mambaseg {
namespace {

using torch::Tensor;

struct Inputs {
  Tensor q, k, v, input, forget;
};

Inputs random_inputs(int64_t length) {
  torch::manual_seed(5);
  const auto options = torch::dtype(torch::kDouble).requires_grad(true);
  const auto tokens = [&] { return torch::randn({2, 3, length, 4}, options); };
  return {tokens(), tokens(), tokens(), 3 * torch::randn({2, 3, length}, options),
          2 + 2 * torch::randn({2, 3, length}, options)};
}

/// The recurrent form of the paper, token by token.
Tensor recurrent(const Inputs& x) {
  const int64_t L = x.q.size(2), D = x.q.size(3);
  const Tensor q = x.q / std::sqrt(static_cast<double>(D)), kept = torch::log_sigmoid(x.forget);
  Tensor C = torch::zeros({2, 3, D, D}, torch::kDouble), n = torch::zeros({2, 3, D}, torch::kDouble);
  Tensor m = torch::full({2, 3}, -1e30, torch::kDouble);
  std::vector<Tensor> out;
  for (int64_t t = 0; t < L; ++t) {
    const Tensor k = x.k.select(2, t), v = x.v.select(2, t), input = x.input.select(2, t);
    const Tensor next = torch::maximum(kept.select(2, t) + m, input);
    const Tensor old = (kept.select(2, t) + m - next).exp().unsqueeze(-1),
                 now = (input - next).exp().unsqueeze(-1);
    C = old.unsqueeze(-1) * C + (now * v).unsqueeze(-1) * k.unsqueeze(-2);
    n = old * n + now * k;
    m = next;
    const Tensor query = q.select(2, t);
    const Tensor norm = torch::maximum((n * query).sum(-1).abs(), (-m).exp()).unsqueeze(-1) + 1e-6;
    out.push_back((C * query.unsqueeze(-2)).sum(-1) / norm);
  }
  return torch::stack(out, 2);
}

double largest(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(MatrixLstm, InPiecesIsTheRecurrentForm) {
  const Inputs x = random_inputs(13);
  const Tensor expected = recurrent(x);
  for (const int64_t piece : {1, 4, 5, 13, 128})
    EXPECT_LE(largest(matrix_lstm(x.q, x.k, x.v, x.input, x.forget, piece), expected), 1e-12) << piece;
}

TEST(MatrixLstm, HasTheGradientsOfTheRecurrentForm) {
  const Inputs x = random_inputs(11);
  const std::vector<Tensor> wrt{x.q, x.k, x.v, x.input, x.forget};
  const Tensor weights = torch::randn({2, 3, 11, 4}, torch::kDouble);
  const auto gradients = [&](const Tensor& y) { return torch::autograd::grad({(y * weights).sum()}, wrt); };
  const auto expected = gradients(recurrent(x));
  for (const int64_t piece : {1, 4, 11}) {
    const auto found = gradients(matrix_lstm(x.q, x.k, x.v, x.input, x.forget, piece));
    for (size_t i = 0; i < wrt.size(); ++i)
      EXPECT_LE(largest(found[i], expected[i]), 1e-11 * std::max(1.0, expected[i].abs().max().item<double>()))
          << piece << " " << i;
  }
}

TEST(MatrixLstm, StaysFiniteWhereGatesAreLargeAndSequencesLong) {
  torch::manual_seed(6);
  const auto tokens = [] { return torch::randn({1, 1, 1000, 2}); };
  const Tensor y = matrix_lstm(tokens(), tokens(), tokens(), 60 * torch::randn({1, 1, 1000}),
                               60 * torch::randn({1, 1, 1000}), 64);
  EXPECT_TRUE(torch::isfinite(y).all().item<bool>());
}

}  // namespace
}  // namespace mambaseg
