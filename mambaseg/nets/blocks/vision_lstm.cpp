#include "mambaseg/nets/blocks/vision_lstm.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/ops/depthwise_conv.h"
#include "mambaseg/ops/gate.h"
#include "mambaseg/ops/norm.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr double kEps = 1e-6;

/// What the tokens before a piece leave: sums of v k^T and k, both times exp(-m).
struct Memory {
  Tensor C, n, m;  ///< (B, heads, D, D), (B, heads, D, 1), (B, heads, 1)
};

// The largest exponent m scales all sums alike. But for the small number in the divisor it cancels, so
// gradients flow through it there alone; through the sums they would leave rounding.

/// The tokens of one piece, q scaled; `before` may be empty, `after` null.
Tensor read_piece(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& input,
                  const Tensor& forget, const Memory& before, Memory* after) {
  const int64_t L = q.size(2);
  const Tensor F = torch::log_sigmoid(forget).cumsum(-1);  // since the piece began
  const Tensor later =
      torch::ones({L, L}, torch::dtype(torch::kBool).device(q.device())).triu(/*diagonal=*/1);
  const Tensor exponent = (F.unsqueeze(-1) + (input - F).unsqueeze(-2)).masked_fill(later, -INFINITY);
  Tensor m = exponent.amax(-1);
  if (before.m.defined()) m = torch::maximum(m, F + before.m);
  const Tensor scale = m.detach();
  const Tensor c = torch::matmul(q, k.transpose(-1, -2)) * (exponent - scale.unsqueeze(-1)).exp();
  Tensor h = torch::matmul(c, v), sum = c.sum(-1, /*keepdim=*/true);
  if (before.m.defined()) {
    const Tensor share = (F + before.m.detach() - scale).exp().unsqueeze(-1);
    h = h + share * torch::matmul(q, before.C);
    sum = sum + share * torch::matmul(q, before.n);
  }
  if (after != nullptr) {
    const Tensor last = F.narrow(-1, L - 1, 1), kept = last - F + input;
    after->m = kept.amax(-1, /*keepdim=*/true);
    if (before.m.defined()) after->m = torch::maximum(after->m, last + before.m);
    const Tensor kept_scale = after->m.detach();
    const Tensor weighed = (k * (kept - kept_scale).exp().unsqueeze(-1)).transpose(-1, -2);
    after->C = torch::matmul(weighed, v);
    after->n = weighed.sum(-1, /*keepdim=*/true);
    if (before.m.defined()) {
      const Tensor share = (last + before.m.detach() - kept_scale).exp().unsqueeze(-1);
      after->C = after->C + share * before.C;
      after->n = after->n + share * before.n;
    }
  }
  const Tensor least = (-scale).exp().unsqueeze(-1), small = kEps * (m - scale).exp().unsqueeze(-1);
  return h / (torch::maximum(sum.abs(), least) + small);
}

/// Contiguous groups of channels, each by its matrix: x (B, L, C), weight (groups, out, in) -> (B, L, C).
Tensor block_diagonal(const Tensor& x, const Tensor& weight) {
  const Tensor groups = x.reshape({x.size(0) * x.size(1), weight.size(0), weight.size(2)}).transpose(0, 1);
  return torch::bmm(groups, weight.transpose(1, 2)).transpose(0, 1).reshape(x.sizes());
}

/// Channels in a block of the maps to queries, keys and values, and heads: the official class took the one
/// for the other, which published weights hold fast.
int64_t block_edge(int64_t width) { return width % 4 == 0 ? 4 : 2; }

}  // namespace

Tensor matrix_lstm(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& input,
                   const Tensor& forget, int64_t piece) {
  const int64_t L = q.size(2);
  const Tensor scaled = q / std::sqrt(static_cast<double>(q.size(3)));
  std::vector<Tensor> out;
  Memory memory;
  for (int64_t from = 0; from < L; from += piece) {
    const auto of = [&](const Tensor& t) { return t.narrow(2, from, std::min(piece, L - from)); };
    Memory after;
    out.push_back(read_piece(of(scaled), of(k), of(v), of(input), of(forget), memory,
                             from + piece < L ? &after : nullptr));
    memory = after;
  }
  return torch::cat(out, 2);
}

OffsetNorm::OffsetNorm(int64_t width, int64_t groups)
    : groups_(groups), weight_(register_parameter("weight", torch::zeros({width}))) {}

Tensor OffsetNorm::forward(const Tensor& x) {
  const Tensor normed = layer_norm(x.unflatten(-1, std::vector<int64_t>{groups_, -1}), {}, {}, 1e-5);
  return normed.view_as(x) * (1 + weight_).to(x.scalar_type());
}

MatrixLstmCell::MatrixLstmCell(int64_t width, int64_t heads)
    : heads_(heads),
      igate_(register_module("igate", std::make_shared<Linear>(3 * width, heads))),
      fgate_(register_module("fgate", std::make_shared<Linear>(3 * width, heads))),
      outnorm_(register_module("outnorm", std::make_shared<OffsetNorm>(width, heads))) {
  const torch::NoGradGuard no_grad;
  igate_->weight.zero_();
  igate_->bias.normal_(0, 0.1);
  fgate_->weight.zero_();
  fgate_->bias.copy_(torch::linspace(3, 6, heads));
}

Tensor MatrixLstmCell::forward(const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto of_heads = [&](const Tensor& x) {
    return x.unflatten(-1, std::vector<int64_t>{heads_, -1}).transpose(1, 2);
  };
  const Tensor all = torch::cat({q, k, v}, -1);
  const Tensor h = matrix_lstm(of_heads(q), of_heads(k), of_heads(v), igate_->forward(all).transpose(1, 2),
                               fgate_->forward(all).transpose(1, 2));
  return outnorm_->forward(h.transpose(1, 2).flatten(2));
}

VilBlock::VilBlock(int64_t width) {
  const int64_t inner = 2 * width, edge = block_edge(width);
  norm_ = register_module("norm", std::make_shared<OffsetNorm>(width));
  const auto layer = register_module("layer", std::make_shared<torch::nn::Module>());
  const double deviation = std::sqrt(2.0 / (5.0 * static_cast<double>(width)));
  proj_up_ = layer->register_module("proj_up", std::make_shared<Linear>(width, 2 * inner, false));
  const auto projection = [&](const char* name) {
    return layer->register_module(name, std::make_shared<torch::nn::Module>())
        ->register_parameter("weight", deviation * torch::randn({inner / edge, edge, edge}));
  };
  q_ = projection("q_proj");
  k_ = projection("k_proj");
  v_ = projection("v_proj");
  conv_ = layer->register_module("conv1d", std::make_shared<torch::nn::Module>())
              ->register_module("conv", depthwise(1, inner, 4, {.padding = {3}}));
  cell_ = layer->register_module("mlstm_cell", std::make_shared<MatrixLstmCell>(inner, edge));
  skip_ = layer->register_parameter("learnable_skip", torch::ones({inner}));
  proj_down_ = layer->register_module("proj_down", std::make_shared<Linear>(inner, width, false));
  const torch::NoGradGuard no_grad;
  proj_up_->weight.normal_(0, deviation);
  proj_down_->weight.normal_(0, 2 / std::sqrt(static_cast<double>(width)));
}

Tensor VilBlock::forward(const Tensor& x) {
  const std::vector<Tensor> halves = proj_up_->forward(norm_->forward(x).flatten(1, -2)).chunk(2, -1);
  const Tensor values = halves[0].contiguous();
  const Tensor seen =
      depthwise_conv(values, conv_->weight, conv_->bias, {{}, true, true, {}, Activation::silu});
  const Tensor h =
      cell_->forward(block_diagonal(seen, q_), block_diagonal(seen, k_), block_diagonal(values, v_));
  const Tensor y = gated(h + skip_.to(h.scalar_type()) * seen, halves[1], Activation::silu);
  return x + proj_down_->forward(y).view_as(x);
}

std::vector<OfficialBlock> official_vision_lstm() {
  using Module = std::shared_ptr<torch::nn::Module>;
  const char* repository = "tianrun-chen/xLSTM-UNet-PyTorch";
  return {{repository,
           {"MatrixLSTMCell"},
           [](const Json& a) -> Module {
             return std::make_shared<MatrixLstmCell>(a.at("dim").get<int64_t>(),
                                                     a.at("num_heads").get<int64_t>());
           },
           [](torch::nn::Module& module, const std::map<std::string, Tensor>& inputs) {
             return dynamic_cast<MatrixLstmCell&>(module).forward(inputs.at("q"), inputs.at("k"),
                                                                  inputs.at("v"));
           }},
          {repository, {"ViLBlock"}, [](const Json& a) -> Module {
             return std::make_shared<VilBlock>(a.at("dim").get<int64_t>());
           }}};
}

}  // namespace mambaseg
