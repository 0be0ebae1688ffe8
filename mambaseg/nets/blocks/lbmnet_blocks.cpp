#include "mambaseg/nets/blocks/lbmnet_blocks.h"

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/ops/gate.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

constexpr int64_t kSpatialAttentionKernel = 7;

std::shared_ptr<Convolution> dense_convolution(int64_t dims, int64_t in, int64_t out, int64_t edge) {
  return conv(dims, in, out, edge, nnunet_convolution());
}

std::shared_ptr<Convolution> depthwise_convolution(int64_t dims, int64_t channels, int64_t edge) {
  return depthwise(dims, channels, edge, nnunet_convolution());
}

int64_t squeezed(int64_t channels) { return std::max<int64_t>(1, channels / 16); }

Activation activation_named(const std::string& name) {
  if (name == "gelu") return Activation::gelu;
  return name == "silu" ? Activation::silu : Activation::sigmoid;
}

}  // namespace

LscBlock::LscBlock(int64_t dimension, int64_t channels, const LscSettings& s) {
  if (s.kernels.empty()) {
    for (int64_t i = 0; i < s.residual_convolutions; ++i) {
      dense_.push_back(dense_convolution(dimension, channels, channels, 3));
      dense_norm_.push_back(std::make_shared<BatchNorm>(channels));
    }
    register_list(*this, "dense", dense_);
    register_list(*this, "dense_norm", dense_norm_);
    return;
  }
  for (const int64_t edge : s.kernels) {
    if (pointwise_.empty() || !s.shared_pointwise)
      pointwise_.push_back(nnunet_pointwise(dimension, channels, channels));
    depthwise_.push_back(depthwise_convolution(dimension, channels, edge));
  }
  register_list(*this, "pointwise", pointwise_);
  register_list(*this, "depthwise", depthwise_);
  if (s.refinement != "none")
    refine_ = register_module("refine", s.refinement == "dense"
                                            ? dense_convolution(dimension, channels, channels, 3)
                                            : depthwise_convolution(dimension, channels, 3));
  merge_ = register_module("merge", nnunet_pointwise(dimension, channels, channels));
  norm_ = register_module("norm", std::make_shared<BatchNorm>(channels));
}

torch::Tensor LscBlock::branches(const torch::Tensor& x) {
  torch::Tensor sum, shared;
  for (size_t i = 0; i < depthwise_.size(); ++i) {
    if (i < pointwise_.size()) shared = pointwise_[i]->forward(x);
    const bool last = i + 1 == depthwise_.size();
    sum = depthwise_[i]->run(shared, {last ? Activation::leaky_relu : Activation::none, sum});
  }
  return sum;
}

torch::Tensor LscBlock::compute(const torch::Tensor& x) {
  if (depthwise_.empty()) {
    torch::Tensor y = x;
    for (size_t i = 0; i < dense_.size(); ++i) {
      const bool last = i + 1 == dense_.size();
      y = normed(*dense_[i], *dense_norm_[i], y,
                 last ? Epilogue{Activation::none, x} : Epilogue{Activation::leaky_relu, {}});
    }
    return y;
  }
  torch::Tensor y = branches(x);
  if (refine_) y = refine_->run(y, {Activation::leaky_relu, {}});
  return normed(*merge_, *norm_, y, {Activation::none, x});
}

ChannelGate::ChannelGate(int64_t channels, int64_t hidden)
    : squeeze_(register_module("squeeze", std::make_shared<Linear>(channels, hidden, false))),
      excite_(register_module("excite", std::make_shared<Linear>(hidden, channels, false))) {}

torch::Tensor ChannelGate::forward(const torch::Tensor& x) {
  const torch::Tensor gate =
      torch::sigmoid(excite_->forward(torch::relu(squeeze_->forward(spatial_mean(x)))));
  std::vector<int64_t> sizes(static_cast<size_t>(x.dim()), 1);
  sizes[0] = x.size(0);
  sizes[1] = x.size(1);
  return gate.view(sizes);
}

BscBlock::BscBlock(int64_t dimension, int64_t channels, const BscSettings& s) : settings_(s) {
  if (s.spatial) {
    attention_ = register_module("attention", s.attention_convolution == "dense"
                                                  ? dense_convolution(dimension, channels, channels, 3)
                                                  : depthwise_convolution(dimension, channels, 3));
    channel_gate_ =
        register_module("channel_gate", std::make_shared<ChannelGate>(channels, squeezed(channels)));
    detail_ = register_module("detail", depthwise_convolution(dimension, channels, 3));
    value_ = register_module("value", nnunet_pointwise(dimension, channels, channels));
    gate_ = register_module("gate", nnunet_pointwise(dimension, channels, channels));
    mix_ = register_module("mix", depthwise_convolution(dimension, channels, 7));
  }
  directions_ = s.scan == "none" ? 0 : s.scan == "one_way" ? 1 : s.scan == "two_way" ? 2 : 4;
  if (directions_ == 0) return;
  if (s.norm) norm_ = register_module("norm", std::make_shared<LayerNorm>(channels));
  MambaSettings mamba;
  mamba.width = channels;
  mamba.states = s.states;
  mamba.conv_kernel = s.conv_kernel;
  mamba.expand = s.expand;
  mamba.dims = dimension;
  for (int64_t i = 0; i < (s.shared_weights ? 1 : directions_); ++i)
    mambas_.push_back(std::make_shared<Mamba>(mamba));
  register_list(*this, "mamba", mambas_);
  join_ = register_module("join", std::make_shared<Linear>(directions_ * channels, channels));
}

torch::Tensor BscBlock::spatial(const torch::Tensor& x) {
  const torch::Tensor e = channel_gate_->forward(attention_->forward(x)) * detail_->forward(x);
  const torch::Tensor mixed =
      gated(value_->forward(e), gate_->forward(e), activation_named(settings_.activation));
  return mix_->run(mixed, {Activation::none, x});
}

torch::Tensor BscBlock::sequential(const torch::Tensor& y) {
  torch::Tensor tokens = y.movedim(1, -1);
  if (norm_) tokens = norm_->forward(tokens);
  std::vector<torch::Tensor> results;
  for (int64_t i = 0; i < directions_; ++i) {
    // The third and fourth direction read the grid with its first two axes swapped.
    const bool swapped = i >= 2;
    const auto& mamba = mambas_[mambas_.size() == 1 ? 0 : static_cast<size_t>(i)];
    const torch::Tensor read =
        mamba->read(swapped ? tokens.transpose(1, 2) : tokens, /*backwards=*/i % 2 == 1);
    results.push_back(swapped ? read.transpose(1, 2) : read);
  }
  return join_->forward(torch::cat(results, -1)).movedim(-1, 1);
}

torch::Tensor BscBlock::compute(const torch::Tensor& x) {
  const torch::Tensor y = settings_.spatial ? spatial(x) : x;
  if (directions_ == 0) return y;
  return sequential(y) + (settings_.residual == "input" ? x : y);
}

BagfBlock::BagfBlock(int64_t dimension, int64_t channels, const BagfSettings& s) : settings_(s) {
  const auto pointwise = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, nnunet_pointwise(dimension, in, out));
  };
  const auto norm = [&](const char* name) {
    return register_module(name, std::make_shared<BatchNorm>(channels));
  };
  if (!s.gate) {
    out_ = pointwise("out", 2 * channels, channels);
    return;
  }
  encoder_align_ = pointwise("encoder_align", channels, channels);
  encoder_norm_ = norm("encoder_norm");
  decoder_align_ = pointwise("decoder_align", channels, channels);
  decoder_norm_ = norm("decoder_norm");
  if (s.encoder_residual) {
    residual_depthwise_ =
        register_module("residual_depthwise", depthwise_convolution(dimension, channels, 3));
    residual_pointwise_ = pointwise("residual_pointwise", channels, channels);
    residual_norm_ = norm("residual_norm");
  }
  if (s.encoder_attention) {
    ConvolutionSettings attention = nnunet_convolution();
    attention.bias = false;
    attention_ = register_module("attention", conv(dimension, 2, 1, kSpatialAttentionKernel, attention));
  }
  if (s.decoder_attention)
    channel_gate_ =
        register_module("channel_gate", std::make_shared<ChannelGate>(channels, squeezed(channels)));
  gate_ = pointwise("gate", 2 * channels, s.gate_maps == "voxel" ? 2 : 2 * channels);
  out_ = pointwise("out", channels, channels);
}

torch::Tensor BagfBlock::forward(const torch::Tensor& encoder, const torch::Tensor& decoder) {
  return computed(*this, {encoder, decoder},
                  [this](const std::vector<torch::Tensor>& in) { return joined(in[0], in[1]); });
}

torch::Tensor BagfBlock::joined(const torch::Tensor& encoder, const torch::Tensor& decoder) {
  if (!settings_.gate) return out_->forward(torch::cat({encoder, decoder}, 1));
  torch::Tensor e = normed(*encoder_align_, *encoder_norm_, encoder);
  torch::Tensor d = normed(*decoder_align_, *decoder_norm_, decoder);
  if (residual_norm_)
    e = normed(*residual_pointwise_, *residual_norm_, residual_depthwise_->forward(e), {Activation::none, e});
  if (attention_) e = e * attention_->run(channel_mean_and_max(e), {Activation::sigmoid, {}});
  if (channel_gate_) d = d * channel_gate_->forward(d);
  const torch::Tensor maps = gate_->forward(torch::cat({e, d}, 1));
  // The softmax of two maps is a sigmoid of their difference, and the shares add up to 1.
  const int64_t half = maps.size(1) / 2;
  const torch::Tensor share = torch::sigmoid(maps.narrow(1, 0, half) - maps.narrow(1, half, half));
  return out_->forward(d + share * (e - d));
}

}  // namespace mambaseg
