#include "mambaseg/nets/zoo/transamba/transamba_blocks.h"

#include "mambaseg/nets/blocks/vss_encoder.h"

namespace mambaseg {

using torch::Tensor;

Tensor InPlaneMamba::forward(const Tensor& x_BZMC) {
  const int64_t M = x_BZMC.size(2), middle = M / 2;
  const Tensor x = x_BZMC.flatten(0, 1);
  const auto part = [](const Tensor& t, int64_t from, int64_t to) { return t.slice(1, from, to); };
  const Tensor y = mamba_->read(
      torch::cat({part(x, 1, middle + 1), part(x, 0, 1), part(x, middle + 1, M)}, 1), backwards_);
  return torch::cat({part(y, middle, middle + 1), part(y, 0, middle), part(y, middle + 1, M)}, 1)
      .view_as(x_BZMC);
}

TransambaBlock::TransambaBlock(const TransambaSettings& s, double drop_path)
    : planes_(s.planes), doubles_token_(s.doubles_token) {
  const auto norm = [&](const char* name) {
    return register_module(name, std::make_shared<LayerNorm>(s.width, kTransambaNormEps));
  };
  const auto reading = [&](const char* name, bool backwards) {
    return register_module(name, std::make_shared<InPlaneMamba>(s.width, backwards));
  };
  norm1_ = norm("norm1");
  if (s.in_plane == "mamba") {
    forward_ = reading("forward_mamba", false);
    backward_ = reading("backward_mamba", true);
  } else {
    attn_ = register_module("attn", std::make_shared<SelfAttention>(AttentionSettings{
                                        .width = s.width, .heads = s.heads, .bias = s.qkv_bias}));
    norm2_ = norm("norm2");
    mlp_ =
        register_module("mlp", std::make_shared<MixerMlp>(s.width, s.mlp_ratio * s.width, 0, "fc1", "fc2"));
    start_as_vmamba(*attn_);  // as all vision transformers
    start_as_vmamba(*mlp_);
  }
  if (planes_ != "none") norm3_ = norm("norm3");
  if (planes_ == "in_plane")
    in_plane_ = reading("uni_inm", false);
  else if (planes_ != "none")
    cross_ = register_module("mamba_block", std::make_shared<CrossPlaneMamba>(s.width));
  path_ = register_module("drop_path", std::make_shared<DropPath>(drop_path));
}

/// What Mamba makes of all tokens but the first.
Tensor TransambaBlock::through(const Tensor& x) {
  const Tensor y = cross_->forward(norm3_->forward(x.slice(2, 1))), first = x.slice(2, 0, 1);
  return path_->forward(torch::cat({doubles_token_ ? first : torch::zeros_like(first), y}, 2));
}

Tensor TransambaBlock::before(const Tensor& x) {
  if (planes_ == "before") return x + through(x);
  return planes_ == "in_plane" ? x + path_->forward(in_plane_->forward(norm3_->forward(x))) : x;
}

Tensor TransambaBlock::within(const Tensor& x) {
  const Tensor normed = norm1_->forward(x);
  if (forward_) return x + path_->forward(forward_->forward(normed) + backward_->forward(normed));
  const Tensor y = x + path_->forward(attn_->forward(normed.flatten(0, 1)).view_as(x));
  return y + path_->forward(mlp_->forward(norm2_->forward(y)));
}

Tensor TransambaBlock::forward(const Tensor& input) {
  const Tensor x = before(input), y = within(x);
  if (planes_ == "after") return y + through(y);
  return planes_ == "beside" ? y + through(x) : y;
}

}  // namespace mambaseg
