// UNETR2Net (nnUZoo, 2025), whose module names it keeps: U2-Net each stage of which, the coarsest scales too,
// is a small UNETR: a vision transformer reads patches, and UNETR's convolutional decoder joins what three of
// its blocks and the last give. Blocks of today's MONAI hold a cross attention that nothing uses; `unused`
// says whether it is kept.

#include "mambaseg/nets/blocks/attention.h"
#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/token_u.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct Unetr2NetSettings : TokenNetSettings {
  int64_t mlp_width = 3072;
  int64_t heads = 12;
  Extent patch{320, 192};
  bool unused = true;

  void describe(SettingsVisitor& visit) {
    TokenNetSettings::describe(visit);
    visit("mlp_width", mlp_width, "channels inside the MLPs", at_least(1));
    visit("heads", heads, "attention heads, a divisor of `hidden`", at_least(1));
    visit("patch", patch,
          "image rows and columns that positions are learnt for, multiples of 32; interpolated for others",
          at_least(32));
    visit("unused", unused, "keep the cross attention of the official class that nothing uses");
  }
  void check() const {
    TokenNetSettings::check();
    if (patch.size() != 2 || patch[0] % 32 != 0 || patch[1] % 32 != 0)
      throw UsageError(concat("patch: expected rows and columns, multiples of 32, got ", Json(patch).dump()));
  }
};

/// A vision transformer. Prefixes "patch_embedding", "blocks", "norm" as in MONAI.
class PatchReader : public TokenReader {
 public:
  PatchReader(int64_t in, const TokenUShape& s, const Unetr2NetSettings& all, const Extent& grid) {
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
  /// The decoder starts from what the last block leaves, normed.
  std::vector<Tensor> read(const Tensor& input) override {
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

std::shared_ptr<TokenU> unetr(int64_t in, int64_t out, const TokenUShape& shape, const Unetr2NetSettings& s,
                              Extent grid) {
  for (int64_t& size : grid) size /= shape.patch;
  return std::make_shared<TokenU>(
      std::make_shared<PatchReader>(in, shape, s, grid),
      TokenU::Settings{in, out, shape, "vit", /*refines=*/true, /*adds_input=*/true});
}

class Unetr2Net : public X2Net {
 public:
  explicit Unetr2Net(const Unetr2NetSettings& s)
      : X2Net(s, token_net_parts([&](int64_t number, bool decoder, int64_t in, int64_t out) {
                Extent grid = s.patch;
                for (int64_t& size : grid) size >>= std::min<int64_t>(number - 1, 4);
                return unetr(in, out, token_u_shape(s, number, decoder), s, grid);
              })) {
    start_convolutions();
  }
  Extent size_multiples() const override { return cube(2, 32); }
};

Json official_settings(const Json& a) {
  require_plane(a);
  Unetr2NetSettings s;
  read_x2net_arguments(a, s);
  s.patch = argument(a, "input_patch_size", s.patch);
  return to_json(s);
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
                     Unetr2NetSettings s;
                     s.mlp_width = a.at("mlp_dim");
                     s.heads = a.at("num_heads");
                     return unetr(a.at("in_channels"), a.at("out_channels"), read_token_u_arguments(a), s,
                                  a.at("img_size").get<Extent>());
                   }}}},
      [](const Unetr2NetSettings& s) {
        s.check();
        return std::make_shared<Unetr2Net>(s);
      });
}

}  // namespace mambaseg
