#include "mambaseg/nets/blocks/trans_unet_blocks.h"

#include "mambaseg/nets/blocks/attention.h"
#include "mambaseg/nets/layers/resampling.h"

namespace mambaseg {
namespace {

torch::Tensor standardised(const torch::Tensor& weight) {
  const auto [var, mean] = torch::var_mean(weight, {1, 2, 3}, /*unbiased=*/false, /*keepdim=*/true);
  return (weight - mean) / (var + 1e-5).sqrt();
}

}  // namespace

std::shared_ptr<MixerBlock> vit_block(const VitBlockSettings& s) {
  return std::make_shared<MixerBlock>(
      MixerBlockSettings{.width = s.width,
                         .mlp_hidden = s.mlp_width,
                         .mlp_dropout = s.dropout,
                         .norm_eps = kVitNormEps,
                         .names = {"attention_norm", "attn", "ffn_norm", "ffn", "fc1", "fc2"}},
      std::make_shared<SelfAttention>(AttentionSettings{.width = s.width,
                                                        .heads = s.heads,
                                                        .bias = true,
                                                        .dropout = s.attention_dropout,
                                                        .out_dropout = s.attention_dropout,
                                                        .separate = true,
                                                        .out = "out"}));
}

StandardConvolution::StandardConvolution(int64_t in, int64_t out, int64_t edge, int64_t stride, bool bias)
    : options_{cube(2, stride), cube(2, edge / 2), cube(2, 1)},
      weight_(register_parameter("weight", torch::empty({out, in, edge, edge}))) {
  if (bias) bias_ = register_parameter("bias", torch::empty({out}));
  start_weights(Start::pytorch, weight_, bias_);
}

torch::Tensor StandardConvolution::forward(const torch::Tensor& x) {
  if (torch::GradMode::is_enabled()) {
    kept_.forget();
    return convolution(x, {standardised(weight_), bias_, kept_.packed()}, options_);
  }
  return convolution(x, kept_.of(weight_, bias_, standardised), options_);
}

std::shared_ptr<Sequence> conv_norm_relu(int64_t in, int64_t out) {
  return sequence({conv(2, in, out, 3, {.bias = false}), std::make_shared<BatchNorm>(out), relu()});
}

DecoderStage::DecoderStage(int64_t in, int64_t out, int64_t skip)
    : conv1_(register_module("conv1", conv_norm_relu(in + skip, out))),
      conv2_(register_module("conv2", conv_norm_relu(out, out))) {}

torch::Tensor DecoderStage::forward(const torch::Tensor& x, const torch::Tensor& skip) {
  const torch::Tensor up = linear_upsampled(x, 2, /*align_corners=*/true);
  return conv2_->forward(conv1_->forward(skip.defined() ? torch::cat({up, skip}, 1) : up));
}

}  // namespace mambaseg
