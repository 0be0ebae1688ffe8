// UNETR2Net (nnUZoo, 2025), whose module names it keeps: U2-Net each stage of which, the coarsest scales too,
// is a small UNETR: a vision transformer reads patches, and UNETR's convolutional decoder joins what three of
// its blocks and the last give. Blocks of today's MONAI hold a cross attention that nothing uses; `unused`
// says whether it is kept.

#include "mambaseg/nets/blocks/attention.h"
#include "mambaseg/nets/blocks/lightm_blocks.h"
#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/unetr_blocks.h"
#include "mambaseg/nets/blocks/x2net.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct Unetr2NetSettings : X2NetSettings {
  int64_t features = 4;
  int64_t hidden = 96;
  std::vector<int64_t> layers{7, 6, 5, 4, 4, 4};
  int64_t mlp_width = 3072;
  int64_t heads = 12;
  Extent patch{320, 192};
  bool unused = true;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("width", width, "channels of the finest scale, doubled to the fifth", at_least(4));
    visit("deep_supervision", deep_supervision, "scores of each scale too while training");
    visit("features", features, "channels at full resolution inside the finest U", at_least(1));
    visit("hidden", hidden, "channels of the finest scale's tokens, doubled to the third", at_least(1));
    visit("layers", layers, "transformer blocks of the six scales, finest first", at_least(3));
    visit("mlp_width", mlp_width, "channels inside the MLPs", at_least(1));
    visit("heads", heads, "attention heads, a divisor of `hidden`", at_least(1));
    visit("patch", patch,
          "image rows and columns that positions are learnt for, multiples of 32; interpolated for others",
          at_least(32));
    visit("unused", unused, "keep the cross attention of the official class that nothing uses");
  }
  void check() const {
    if (layers.size() != 6) throw UsageError(concat("layers: expected 6 numbers, got ", layers.size()));
    if (patch.size() != 2 || patch[0] % 32 != 0 || patch[1] % 32 != 0)
      throw UsageError(concat("patch: expected rows and columns, multiples of 32, got ", Json(patch).dump()));
  }
};

/// Of one stage.
struct StageShape {
  int64_t features, hidden, layers, patch;
  std::vector<int64_t> raised;  ///< further doublings of what the three watched layers give
  std::vector<int64_t> scales;  ///< of the decoder, coarsest first
};

/// Of stage `number`, the finest being 1. In the decoder patches of the scales between are as large as one
/// scale coarser in the encoder.
StageShape shape_of(const Unetr2NetSettings& s, int64_t number, bool decoder) {
  const bool between = decoder && number > 1 && number < 5;
  const int64_t grid = std::min<int64_t>(between ? number + 1 : number, 5),
                scale = std::min<int64_t>(number, 5);
  const int64_t features[] = {1, 1, between ? 1 : 2, 2, 4}, patches[] = {16, 16, 8, 4, 2};
  const std::vector<int64_t> raised[] = {{2, 1, 0}, {2, 1, 0}, {2, 1, 0}, {1, 1, 0}, {0, 0, 0}},
                             scales[] = {
                                 {2, 2, 2, 2}, {2, 2, 2, 2}, {2, 2, 2, 1}, {2, 2, 1, 1}, {2, 1, 1, 1}};
  return {s.features * features[scale - 1],
          s.hidden << std::min<int64_t>(scale - 1, 2),
          s.layers[static_cast<size_t>(number - 1)],
          patches[grid - 1],
          raised[grid - 1],
          scales[grid - 1]};
}

/// A vision transformer. Prefixes "patch_embedding", "blocks", "norm" as in MONAI.
class PatchReader : public Module {
 public:
  PatchReader(int64_t in, const StageShape& s, const Unetr2NetSettings& all, const Extent& grid) {
    embed_ = register_module("patch_embedding",
                             std::make_shared<PatchEmbedding>(in, s.hidden, s.patch, grid, 0.02));
    for (int64_t i = 0; i < s.layers; ++i) {
      blocks_.push_back(std::make_shared<MixerBlock>(
          MixerBlockSettings{.width = s.hidden,
                             .mlp_hidden = all.mlp_width,
                             .names = {"norm1", "attn", "norm2", "mlp", "linear1", "linear2"}},
          std::make_shared<SelfAttention>(
              AttentionSettings{.width = s.hidden, .heads = all.heads, .out = "out_proj"})));
      if (!all.unused) continue;
      blocks_.back()->torch::nn::Module::register_module("norm_cross_attn",
                                                         std::make_shared<LayerNorm>(s.hidden));
      const auto cross = blocks_.back()->torch::nn::Module::register_module(
          "cross_attn", std::make_shared<torch::nn::Module>());
      cross->register_module("out_proj", std::make_shared<Linear>(s.hidden, s.hidden));
      for (const char* name : {"to_q", "to_k", "to_v"})
        cross->register_module(name, std::make_shared<Linear>(s.hidden, s.hidden, false));
    }
    register_list(*this, "blocks", blocks_);
    norm_ = register_module("norm", std::make_shared<LayerNorm>(s.hidden));
  }
  /// x (B, C, Y, X) -> tokens (B, Y / patch, X / patch, hidden) behind each block, and last of all those
  /// normed.
  std::vector<Tensor> read(const Tensor& input) {
    std::vector<Tensor> hidden;
    Tensor x = embed_->forward(input);
    for (const auto& block : blocks_) hidden.push_back(x = block->forward(x));
    hidden.push_back(norm_->forward(x));
    return hidden;
  }

 private:
  std::shared_ptr<PatchEmbedding> embed_;
  std::vector<std::shared_ptr<MixerBlock>> blocks_;
  std::shared_ptr<LayerNorm> norm_;
};

/// A UNETR around a reader, plus a separable convolution of its input. Prefixes "vit", "encoder1" to
/// "encoder4", "decoder5" to "decoder2", "out", "rebnconvin".
class TokenU : public Layer {
 public:
  TokenU(std::shared_ptr<PatchReader> reader, int64_t in, int64_t out, const StageShape& s)
      : reader_(register_module("vit", std::move(reader))) {
    const int64_t f = s.features;
    encoder1_ = register_module("encoder1", std::make_shared<UnetrBasicBlock>(2, in, f));
    for (size_t i = 0; i < 3; ++i)
      raise_.push_back(
          register_module("encoder" + std::to_string(i + 2),
                          std::make_shared<UnetrPrUpBlock>(2, s.hidden, (2 * f) << i, s.raised[i])));
    for (size_t i = 0; i < 4; ++i) {
      const int64_t wide = (8 * f) >> i;
      up_.push_back(register_module(
          "decoder" + std::to_string(5 - i),
          std::make_shared<UnetrUpBlock>(2, i == 0 ? s.hidden : 2 * wide, wide, s.scales[i])));
    }
    head_ = register_module("out", unetr_head(2, f, out));
    around_ = register_module("rebnconvin", separable_conv(2, in, out));
    const auto last = static_cast<double>(s.layers - 1);
    for (const double place : {2.0, (2 + last) / 2, last}) watched_.push_back(static_cast<size_t>(place));
  }
  Tensor forward(const Tensor& input) override {
    const auto first = [](const Tensor& tokens) { return tokens.permute({0, 3, 1, 2}); };
    const std::vector<Tensor> hidden = reader_->read(input);
    Tensor x = first(hidden.back());
    for (size_t i = 0; i < 3; ++i)
      x = up_[i]->forward(x, raise_[2 - i]->forward(first(hidden[watched_[2 - i]])));
    return head_->forward(up_[3]->forward(x, encoder1_->forward(input))) + around_->forward(input);
  }

 private:
  std::shared_ptr<PatchReader> reader_;
  std::shared_ptr<Layer> encoder1_, head_, around_;
  std::vector<std::shared_ptr<UnetrPrUpBlock>> raise_;  ///< finest first
  std::vector<std::shared_ptr<UnetrUpBlock>> up_;       ///< coarsest first
  std::vector<size_t> watched_;                         ///< layers, for the finest first
};

std::shared_ptr<Layer> stage_of(const Unetr2NetSettings& s, int64_t number, bool decoder, int64_t in,
                                int64_t out) {
  const StageShape shape = shape_of(s, number, decoder);
  Extent grid = s.patch;
  for (int64_t& size : grid) size = size / (int64_t{1} << std::min<int64_t>(number - 1, 4)) / shape.patch;
  return std::make_shared<TokenU>(std::make_shared<PatchReader>(in, shape, s, grid), in, out, shape);
}

class Unetr2Net : public X2Net {
 public:
  explicit Unetr2Net(const Unetr2NetSettings& s)
      : X2Net(s, {.stage = [&](int64_t number, bool decoder, int64_t in,
                               int64_t out) { return stage_of(s, number, decoder, in, out); },
                  .merging =
                      [](int64_t number, int64_t in, int64_t out) {
                        return std::make_shared<GridMerging>(GridMerging::Settings{in, out, scale(number)});
                      },
                  .expanding =
                      [](int64_t number, int64_t in, int64_t out) {
                        return std::make_shared<GridExpanding>(in, out, scale(number));
                      },
                  .last_merging = 5,
                  .first_expanding = 5,
                  .pointwise_heads = true}) {
    start_convolutions();
  }
  Extent size_multiples() const override { return cube(2, 32); }

 private:
  /// The two coarsest stages share a grid.
  static Extent scale(int64_t number) { return cube(2, number < 5 ? 2 : 1); }
};

Json official_settings(const Json& a) {
  if (argument<int64_t>(a, "spatial_dims", 2) != 2)
    throw UsageError("spatial_dims: expected 2, as published");
  Unetr2NetSettings s;
  read_x2net_arguments(a, s);
  s.patch = argument(a, "input_patch_size", s.patch);
  return to_json(s);
}

StageShape shape_of_block(const Json& a) {
  return {a.at("feature_size"),
          a.at("hidden_size"),
          a.at("num_layers"),
          a.at("patch_size").get<Extent>()[0],
          a.at("encoder_layers").get<Extent>(),
          a.at("decoder_scale").get<Extent>()};
}

}  // namespace

NetworkEntry unetr2net_entry() {
  return network_entry<Unetr2NetSettings>(
      {.name = "unetr2net",
       .dims = {2},
       .source = kX2NetSource,
       .summary = "U2-Net each stage of which is a UNETR",
       .parameters = 156'345'401,
       .small = R"({"classes": 3, "width": 4, "features": 1, "hidden": 8, "layers": [3, 3, 3, 3, 3, 3],
                    "mlp_width": 8, "heads": 2, "patch": [32, 32], "unused": false})",
       .small_edge = 32,
       .official = {{kX2NetRepository, "UNETR2Net", official_settings}},
       .blocks = {{kX2NetRepository,
                   {"UNETR"},
                   [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
                     const int64_t in = a.at("in_channels"), out = a.at("out_channels");
                     const StageShape shape = shape_of_block(a);
                     Unetr2NetSettings s;
                     s.mlp_width = a.at("mlp_dim");
                     s.heads = a.at("num_heads");
                     Extent grid = a.at("img_size").get<Extent>();
                     for (int64_t& size : grid) size /= shape.patch;
                     return std::make_shared<TokenU>(std::make_shared<PatchReader>(in, shape, s, grid), in,
                                                     out, shape);
                   }}}},
      [](const Unetr2NetSettings& s) {
        s.check();
        return std::make_shared<Unetr2Net>(s);
      });
}

}  // namespace mambaseg
