#pragma once

#include "mambaseg/nets/blocks/attention.h"
#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/model/network.h"

/// The blocks of TranSamba (transamba.cpp).
namespace mambaseg {

constexpr double kTransambaNormEps = 1e-6;

struct TransambaSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  int64_t edge = 224;
  int64_t patch = 16;
  int64_t width = 384;
  int64_t depth = 12;
  int64_t heads = 6;
  int64_t mlp_ratio = 4;
  std::string planes = "before";
  std::string in_plane = "attention";
  double drop_path = 0.1;
  std::string learns_from = "masks";
  std::string maps = "attention";
  int64_t watched = 12;
  double threshold = 0.5;
  bool doubles_token = false;
  bool unused = true;
  bool qkv_bias = true;  ///< no setting: only blocks are built without

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("edge", edge, "edge of the slices that places are learnt for, a multiple of `patch`", at_least(1));
    visit("patch", patch, "edge of the squares that become tokens", at_least(1));
    visit("width", width, "channels of the tokens", at_least(1));
    visit("depth", depth, "blocks", at_least(1));
    visit("heads", heads, "attention heads, a divisor of the width", at_least(1));
    visit("mlp_ratio", mlp_ratio, "hidden channels of the MLP / width", at_least(1));
    visit("planes", planes,
          "where Mamba stands: before the transformer's part of a block, after it, or beside it, reading "
          "through the slices; in_plane: before it, reading within each slice; none",
          one_of({"before", "after", "beside", "in_plane", "none"}));
    visit("in_plane", in_plane,
          "what mixes the tokens of a slice: attention, or mamba (forwards and backwards, then without MLP; "
          "with planes = before or none)",
          one_of({"attention", "mamba"}));
    visit("drop_path", drop_path,
          "training: chance that the last block's branches are left out for a slice; falls to 0 towards the "
          "first",
          between(0, 1));
    visit("learns_from", learns_from,
          "masks, or slices: whether each slice holds the structure (loss slice_presence), for one map of "
          "scores, "
          "which are then made of class activation",
          one_of({"masks", "slices"}));
    visit("maps", maps,
          "class activation: the attention of the class token, patches: their scores above 0, or both: the "
          "root "
          "of the product",
          one_of({"attention", "patches", "both"}));
    visit("watched", watched, "last blocks whose attention is looked at", at_least(1));
    visit("threshold", threshold,
          "share of a slice's range of class activation above which voxels are the structure", between(0, 1));
    visit("doubles_token", doubles_token, "the original's mistake: each block doubles the first class token");
    visit("unused", unused, "keep the tables and the norm of the official class that nothing reads");
  }
};

/// Reads tokens (B, Z, M, C) through all slices at each place, place after place. Prefix "mamba".
class CrossPlaneMamba : public Layer {
 public:
  explicit CrossPlaneMamba(int64_t width)
      : mamba_(register_module("mamba", std::make_shared<Mamba>(MambaSettings{.width = width, .dims = 2}))) {}
  torch::Tensor forward(const torch::Tensor& x_BZMC) override {
    return mamba_->forward(x_BZMC.transpose(1, 2)).transpose(1, 2);
  }

 private:
  std::shared_ptr<Mamba> mamba_;
};

/// Reads the tokens of each slice, the first one in their middle. Prefix "mamba".
class InPlaneMamba : public Layer {
 public:
  InPlaneMamba(int64_t width, bool backwards)
      : backwards_(backwards),
        mamba_(register_module("mamba", std::make_shared<Mamba>(MambaSettings{.width = width}))) {}
  torch::Tensor forward(const torch::Tensor& x_BZMC) override;

 private:
  bool backwards_;
  std::shared_ptr<Mamba> mamba_;
};

/// Tokens (B, Z, M, C), the first of each slice its class token. Prefixes "norm1", "attn", "norm2", "mlp" or
/// "forward_mamba", "backward_mamba"; "norm3", "mamba_block" or "uni_inm".
class TransambaBlock : public Layer {
 public:
  TransambaBlock(const TransambaSettings& s, double drop_path);
  torch::Tensor forward(const torch::Tensor& x) override;
  /// Of the attention, (B * Z, heads, M, M).
  torch::Tensor weights(const torch::Tensor& x) {
    return attn_->weights(norm1_->forward(before(x)).flatten(0, 1));
  }

 private:
  torch::Tensor before(const torch::Tensor& x);
  torch::Tensor within(const torch::Tensor& x);
  torch::Tensor through(const torch::Tensor& x);

  std::string planes_;
  bool doubles_token_;
  std::shared_ptr<LayerNorm> norm1_, norm2_, norm3_;
  std::shared_ptr<SelfAttention> attn_;
  std::shared_ptr<MixerMlp> mlp_;
  std::shared_ptr<InPlaneMamba> forward_, backward_, in_plane_;
  std::shared_ptr<CrossPlaneMamba> cross_;
  std::shared_ptr<DropPath> path_;
};

}  // namespace mambaseg
