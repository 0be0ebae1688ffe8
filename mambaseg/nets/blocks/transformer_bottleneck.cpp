#include "mambaseg/nets/blocks/transformer_bottleneck.h"

#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/mixer_block.h"

namespace mambaseg {
namespace {

/// Multi-head self attention, (B, L, C) -> (B, L, C).
class SelfAttention : public Layer {
 public:
  SelfAttention(int64_t width, int64_t heads, double dropout)
      : heads_(heads),
        qkv_(register_module("qkv", std::make_shared<Linear>(width, 3 * width, false))),
        proj_(register_module("proj", std::make_shared<Linear>(width, width))),
        dropout_(register_module("dropout", std::make_shared<Dropout>(dropout))) {}

  torch::Tensor forward(const torch::Tensor& x) override {
    const int64_t B = x.size(0), L = x.size(1), C = x.size(2);
    const torch::Tensor qkv = qkv_->forward(x).view({B, L, 3, heads_, C / heads_}).permute({2, 0, 3, 1, 4});
    const double scale = 1 / std::sqrt(static_cast<double>(C / heads_));
    const torch::Tensor scores = torch::matmul(qkv[0], qkv[1].transpose(-2, -1)) * scale;
    const torch::Tensor weights = dropout_->forward(scores.softmax(-1));
    const torch::Tensor mixed = torch::matmul(weights, qkv[2]).transpose(1, 2).reshape({B, L, C});
    return dropout_->forward(proj_->forward(mixed));
  }

 private:
  int64_t heads_;
  std::shared_ptr<Linear> qkv_, proj_;
  std::shared_ptr<Dropout> dropout_;
};

/// dropout(inner(norm(x))). Prefixes "norm", "fn".
class PreNorm : public Layer {
 public:
  PreNorm(int64_t width, std::shared_ptr<Layer> inner, double dropout)
      : norm_(register_module("norm", std::make_shared<LayerNorm>(width))),
        inner_(register_module("fn", std::move(inner))),
        dropout_(register_module("dropout", std::make_shared<Dropout>(dropout))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return dropout_->forward(inner_->forward(norm_->forward(x)));
  }

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Layer> inner_;
  std::shared_ptr<Dropout> dropout_;
};

/// x + branch(x). Prefix "fn".
class Residual : public Layer {
 public:
  explicit Residual(std::shared_ptr<Layer> branch) : branch_(register_module("fn", std::move(branch))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return x + branch_->forward(x); }

 private:
  std::shared_ptr<Layer> branch_;
};

std::shared_ptr<Layer> residual(int64_t width, std::shared_ptr<Layer> inner, double dropout) {
  return std::make_shared<Residual>(std::make_shared<PreNorm>(width, std::move(inner), dropout));
}

}  // namespace

TransformerBottleneck::TransformerBottleneck(const TransformerSettings& s) {
  require(s.width % s.heads == 0, "transformer: ", s.heads, " heads do not divide a width of ", s.width);
  const auto encoding = register_module("position_encoding", std::make_shared<torch::nn::Module>());
  positions_ = encoding->register_parameter("position_embeddings", torch::zeros({1, s.tokens, s.width}));
  net_ = register_module("transformer", std::make_shared<torch::nn::Module>())
             ->register_module("net", std::make_shared<Sequence>());
  for (int64_t i = 0; i < s.layers; ++i) {
    net_->push_back(
        residual(s.width, std::make_shared<SelfAttention>(s.width, s.heads, s.attention_dropout), s.dropout));
    net_->push_back(residual(s.width, std::make_shared<MixerMlp>(s.width, s.tokens, s.dropout), 0));
  }
}

torch::Tensor TransformerBottleneck::forward(const torch::Tensor& x) {
  const torch::Tensor tokens = x.flatten(1, 3);
  require(tokens.size(1) == positions_.size(1), "transformer bottleneck: its positions are learnt for ",
          positions_.size(1), " tokens, the input has ", tokens.size(1));
  return net_->forward(tokens + positions_).view_as(x);
}

}  // namespace mambaseg
