#include "mambaseg/nets/blocks/transformer_bottleneck.h"

#include <functional>
#include <numeric>

#include "mambaseg/nets/blocks/mixer_block.h"

namespace mambaseg {
namespace {

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

TransformerModel::TransformerModel(const TransformerSettings& s, int64_t mlp_width)
    : net_(register_module("net", std::make_shared<Sequence>())) {
  const AttentionSettings attention{
      .width = s.width, .heads = s.heads, .dropout = s.attention_dropout, .out_dropout = s.attention_dropout};
  for (int64_t i = 0; i < s.layers; ++i) {
    net_->push_back(residual(s.width, std::make_shared<SelfAttention>(attention), s.dropout));
    net_->push_back(residual(s.width, std::make_shared<MixerMlp>(s.width, mlp_width, s.dropout), 0));
  }
}

TransformerBottleneck::TransformerBottleneck(const TransformerSettings& s)
    : positions_(register_module("position_encoding", std::make_shared<LearntPositions>(s.grid, s.width))) {
  const int64_t tokens = std::accumulate(s.grid.begin(), s.grid.end(), int64_t{1}, std::multiplies<>());
  transformer_ = register_module("transformer", std::make_shared<TransformerModel>(s, tokens));
}

torch::Tensor TransformerBottleneck::forward(const torch::Tensor& x) {
  return transformer_->forward(positions_->forward(x));
}

}  // namespace mambaseg
