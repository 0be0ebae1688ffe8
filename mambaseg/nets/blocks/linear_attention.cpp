#include "mambaseg/nets/blocks/linear_attention.h"

#include <cmath>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// (Y, X, width / 2, 2): of the angles row * theta_j, then column * theta_j, theta_j = 10000^(-4 j / width).
Tensor rotations_of(int64_t Y, int64_t X, int64_t width) {
  const int64_t pairs = width / 4;
  const Tensor theta = torch::pow(10000.0, -torch::arange(pairs) / static_cast<double>(pairs));
  const auto angles = [&](int64_t places) {
    return torch::arange(places).unsqueeze(1).to(torch::kFloat) * theta;
  };
  const Tensor all = torch::cat(
      {angles(Y).unsqueeze(1).expand({Y, X, pairs}), angles(X).unsqueeze(0).expand({Y, X, pairs})}, -1);
  return torch::stack({all.cos(), all.sin()}, -1);
}

/// Pairs of neighbouring channels (B, L, C) turned as complex numbers.
Tensor turned(const Tensor& x, const Tensor& rotations) {
  const Tensor cosine = rotations.select(-1, 0).flatten(0, 1), sine = rotations.select(-1, 1).flatten(0, 1);
  const Tensor pairs = x.unflatten(-1, std::vector<int64_t>{-1, 2}), a = pairs.select(-1, 0),
               b = pairs.select(-1, 1);
  return torch::stack({a * cosine - b * sine, a * sine + b * cosine}, -1).flatten(-2);
}

}  // namespace

LinearAttention::LinearAttention(int64_t width, int64_t heads) : width_(width), heads_(heads) {
  if (width % 4 != 0 || width % heads != 0)
    throw UsageError(
        concat("linear attention: expected a width that 4 and the ", heads, " heads divide, got ", width));
  qk_ = register_module("qk", std::make_shared<Linear>(width, 2 * width));
  lepe_ = register_module("lepe", depthwise(2, width, 3));
}

Tensor LinearAttention::forward(const Tensor& x) {
  const int64_t Y = x.size(1), X = x.size(2), N = Y * X;
  const auto type = x.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const auto rotations =
      rotations_.get({1, Y, X}, x.device(), [&] { return rotations_of(Y, X, width_).to(x.device()); });
  const auto of_heads = [&](const Tensor& t) {  // (B, heads, N, C / heads)
    return t.unflatten(-1, std::vector<int64_t>{heads_, -1}).transpose(1, 2);
  };
  const std::vector<Tensor> qk = (torch::elu(qk_->forward(x).flatten(1, 2).to(type)) + 1).chunk(2, -1);
  const Tensor turns = rotations->to(type);
  const Tensor q = of_heads(turned(qk[0], turns)), k = of_heads(turned(qk[1], turns)),
               v = of_heads(x.flatten(1, 2).to(type));
  const Tensor divisor =
      torch::matmul(of_heads(qk[0]), of_heads(qk[1]).mean(2, /*keepdim=*/true).transpose(2, 3)) + 1e-6;
  const Tensor kv = torch::matmul(k.transpose(2, 3), v) / static_cast<double>(N);
  const Tensor y = (torch::matmul(q, kv) / divisor).transpose(1, 2).reshape(x.sizes()).to(x.scalar_type());
  return y + lepe_->forward(x.permute({0, 3, 1, 2})).permute({0, 2, 3, 1});
}

bool LinearAttention::check_computed(const std::string& name, const Tensor& value) const {
  if (name != "rope.rotations") return false;
  require(value.dim() == 4 && value.allclose(rotations_of(value.size(0), value.size(1), width_), 0, 1e-5),
          "not the rotations of a plane of tokens");
  return true;
}

}  // namespace mambaseg
