// SwT2Net (nnUZoo, 2025), whose module names it keeps: U2-Net whose four finest scales are Us of Swin
// Transformer blocks, with merging and expanding of patches between the scales. As in the original, where the
// window does not divide one axis of a grid, both get more tokens of zeros in front, a whole window where it
// does divide; they pass the block as tokens do. Windows are shifted even where there is one alone, and the
// convolutions of the two coarsest scales are separable and not dilated.

#include "mambaseg/nets/blocks/lightm_blocks.h"
#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/blocks/window_attention.h"
#include "mambaseg/nets/blocks/x2net.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr double kNormEps = 1e-6;

struct SwT2NetSettings : X2NetSettings {
  int64_t window = 7;
  std::vector<int64_t> depths{2, 2, 4, 2};
  std::vector<int64_t> embed{32, 64, 96, 96};
  std::vector<int64_t> heads{2, 2, 3, 3};
  int64_t mlp_ratio = 4;
  double drop_path = 0.1;

  SwT2NetSettings() { in_channels = 1; }
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("width", width, "channels of the finest scale, doubled to the fifth", at_least(4));
    visit("deep_supervision", deep_supervision, "scores of each scale too while training");
    visit("window", window, "tokens along each axis that attend to each other", at_least(1));
    visit("depths", depths, "attention blocks of the levels of each U, finest first, on both sides",
          at_least(1));
    visit("embed", embed,
          "channels of the finest tokens of the four Us, finest first; doubled from level to level",
          at_least(2));
    visit("heads", heads,
          "attention heads of the four Us' finest level; doubled from level to level, but for the finest U, "
          "whose first two have as many",
          at_least(1));
    visit("mlp_ratio", mlp_ratio, "hidden channels of the MLP / width", at_least(1));
    visit("drop_path", drop_path,
          "training: chance that the deepest block's branches are left out for a sample; falls to 0 towards "
          "the finest",
          between(0, 1));
  }
};

struct SwinUSettings {
  int64_t in, out, patch, embed;
  std::vector<int64_t> heads;  ///< of the levels
  int64_t window;
  std::vector<int64_t> depths;
  int64_t mlp_ratio = 4;
  double drop_path = 0.1;
};

/// A Swin Transformer block on a grid that is padded in front.
class FrontPaddedBlock : public SwinBlock {
 public:
  FrontPaddedBlock(const WindowSettings& attention, int64_t mlp_hidden, double drop_path)
      : SwinBlock(attention, mlp_hidden, drop_path, "fc1", "fc2", kNormEps), edge_(attention.window[0]) {}

 private:
  Tensor compute(const Tensor& x_BYXC) override {
    const int64_t Y = x_BYXC.size(1), X = x_BYXC.size(2);
    if (Y % edge_ == 0 && X % edge_ == 0) return SwinBlock::compute(x_BYXC);
    const int64_t rows = edge_ - Y % edge_, columns = edge_ - X % edge_;
    return SwinBlock::compute(torch::constant_pad_nd(x_BYXC, {0, 0, columns, 0, rows, 0}))
        .narrow(1, rows, Y)
        .narrow(2, columns, X);
  }

  int64_t edge_;
};

/// Blocks, then what changes the grid, which has channels first. Prefix "blocks".
class Level : public Layer {
 public:
  Level(const SwinUSettings& s, size_t level, const std::vector<double>& chances) {
    const int64_t width = s.embed << level;
    for (size_t i = 0; i < chances.size(); ++i)
      blocks_.push_back(std::make_shared<FrontPaddedBlock>(WindowSettings{.width = width,
                                                                          .heads = s.heads[level],
                                                                          .window = cube(2, s.window),
                                                                          .shifted = i % 2 == 1,
                                                                          .always_shifts = true},
                                                           s.mlp_ratio * width, chances[i]));
    register_list(*this, "blocks", blocks_);
  }
  void then(const char* name, std::shared_ptr<Layer> change) {
    change_ = register_module(name, std::move(change));
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = x.permute({0, 2, 3, 1});
    for (const auto& block : blocks_) y = block->forward(y);
    y = y.permute({0, 3, 1, 2});
    return change_ ? change_->forward(y) : y;
  }

 private:
  std::vector<std::shared_ptr<FrontPaddedBlock>> blocks_;
  std::shared_ptr<Layer> change_;
};

/// A Swin-Unet plus a separable convolution of its input. Prefixes "patch_embed", "layers",
/// "first_patch_expanding", "skip_connection_layers", "layers_up", "norm_up", "final_patch_expanding",
/// "head", "rebnconvin".
class SwinU : public Layer {
 public:
  explicit SwinU(const SwinUSettings& s);
  Tensor forward(const Tensor& input) override;

 private:
  int64_t patch_;
  std::shared_ptr<Sequence> around_;
  std::shared_ptr<Convolution> proj_, head_;
  std::shared_ptr<LayerNorm> embed_norm_, norm_up_, final_norm_;
  std::vector<std::shared_ptr<Level>> down_, up_;  ///< finest first; coarsest first
  std::vector<std::shared_ptr<Linear>> join_;      ///< coarsest first
  std::shared_ptr<GridExpanding> first_up_;
  std::shared_ptr<Linear> final_expand_;
};

SwinU::SwinU(const SwinUSettings& s) : patch_(s.patch) {
  const auto norm = [&](torch::nn::Module& owner, const char* name) {
    return owner.register_module(name, std::make_shared<LayerNorm>(s.embed, kNormEps));
  };
  const auto expanding = [](int64_t width) {
    return std::make_shared<GridExpanding>(width, 0, Extent{2, 2}, kNormEps);
  };
  const size_t levels = s.depths.size();
  around_ = register_module("rebnconvin", separable_conv(2, s.in, s.out));
  const auto embed = register_module("patch_embed", std::make_shared<torch::nn::Module>());
  proj_ = embed->register_module(
      "proj", conv(2, s.in, s.embed, s.patch, {.stride = cube(2, s.patch), .padding = cube(2, 0)}));
  embed_norm_ = norm(*embed, "norm");
  int64_t blocks = 0;
  for (const int64_t depth : s.depths) blocks += depth;
  const auto chances = by_scale(rising_drop_path(blocks, s.drop_path), s.depths);
  for (size_t level = 0; level < levels; ++level) {
    const int64_t width = s.embed << level;
    down_.push_back(std::make_shared<Level>(s, level, chances[level]));
    if (level + 1 < levels)
      down_.back()->then("downsample",
                         std::make_shared<GridMerging>(GridMerging::Settings{
                             width, 2 * width, {2, 2}, /*columns_first=*/true, true, kNormEps}));
  }
  first_up_ = register_module("first_patch_expanding", expanding(s.embed << (levels - 1)));
  for (size_t level = levels - 1; level-- > 0;) {
    const int64_t width = s.embed << level;
    join_.push_back(std::make_shared<Linear>(2 * width, width));
    up_.push_back(std::make_shared<Level>(s, level, chances[level]));
    if (level > 0) up_.back()->then("upsample", expanding(width));
  }
  register_list(*this, "layers", down_);
  register_list(*this, "layers_up", up_);
  register_list(*this, "skip_connection_layers", join_);
  norm_up_ = norm(*this, "norm_up");
  const auto final_expanding =
      register_module("final_patch_expanding", std::make_shared<torch::nn::Module>());
  final_expand_ = final_expanding->register_module(
      "expand", std::make_shared<Linear>(s.embed, s.patch * s.patch * s.embed, false));
  final_norm_ = norm(*final_expanding, "norm");
  head_ = register_module("head", conv(2, s.embed, s.out, 1, {.bias = false}));
  start_as_vmamba(*this);  // as all Swin Transformers
}

Tensor SwinU::forward(const Tensor& input) {
  const auto last = [](const Tensor& x) { return x.permute({0, 2, 3, 1}); };
  const auto first = [](const Tensor& x) { return x.permute({0, 3, 1, 2}); };
  Tensor x = first(embed_norm_->forward(last(proj_->forward(input))));
  std::vector<Tensor> skips;  // what enters each level
  for (const auto& level : down_) {
    skips.push_back(x);
    x = level->forward(x);
  }
  x = first_up_->forward(x);
  for (size_t i = 0; i < up_.size(); ++i) {
    const Tensor& skip = skips[up_.size() - 1 - i];
    const Tensor cut = x.narrow(2, 0, skip.size(2)).narrow(3, 0, skip.size(3));
    x = up_[i]->forward(first(join_[i]->forward(last(torch::cat({cut, skip}, 1)))));
  }
  const Tensor spread = final_expand_->forward(norm_up_->forward(last(x)))
                            .unflatten(3, std::vector<int64_t>{patch_, patch_, -1})
                            .permute({0, 1, 3, 2, 4, 5})
                            .flatten(3, 4)
                            .flatten(1, 2);
  return head_->run(first(final_norm_->forward(spread)), {Activation::none, around_->forward(input)});
}

X2NetParts parts(const SwT2NetSettings& s) {
  return {.stage = [s](int64_t number, bool, int64_t in, int64_t out) -> std::shared_ptr<Layer> {
            if (number >= 5) return std::make_shared<ResidualU>(0, in, 8 * s.width, out, /*separable=*/true);
            const auto scale = static_cast<size_t>(number - 1);
            const int64_t patches[] = {4, 4, 2, 1};
            SwinUSettings u{in,       out,      patches[scale], s.embed[scale], {},
                            s.window, s.depths, s.mlp_ratio,    s.drop_path};
            for (size_t level = 0; level < s.depths.size(); ++level)
              u.heads.push_back(s.heads[scale] << (number == 1 && level > 0 ? level - 1 : level));
            return std::make_shared<SwinU>(u);
          },
          .merging =
              [](int64_t, int64_t in, int64_t out) {
                return std::make_shared<GridMerging>(
                    GridMerging::Settings{in, out, {2, 2}, /*columns_first=*/true, /*pads=*/false});
              },
          .expanding = [](int64_t, int64_t in, int64_t) { return std::make_shared<GridExpanding>(in); },
          .pointwise_heads = true};
}

class SwT2Net : public X2Net {
 public:
  explicit SwT2Net(const SwT2NetSettings& s) : X2Net(s, parts(s)) { start_convolutions(); }
  Extent size_multiples() const override { return cube(2, 16); }
};

Json official_settings(const Json& a) {
  SwT2NetSettings s;
  read_x2net_arguments(a, s);
  return to_json(s);
}

}  // namespace

NetworkEntry swt2net_entry() {
  return network_entry<SwT2NetSettings>(
      {.name = "swt2net",
       .dims = {2},
       .source = kX2NetSource,
       .summary = "U2-Net whose finer scales are U-Nets of Swin Transformer blocks",
       .parameters = 180'601'487,
       .small = R"({"classes": 3, "width": 4, "window": 3, "depths": [2, 1], "embed": [4, 4, 4, 4],
                    "heads": [1, 1, 1, 1], "mlp_ratio": 2, "drop_path": 0.0})",
       .small_edge = 32,
       .official = {{kX2NetRepository, "SwT2Net", official_settings}},
       .blocks = {{kX2NetRepository,
                   {"SwinTransformerUnet"},
                   [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
                     return std::make_shared<SwinU>(
                         SwinUSettings{a.at("in_ch"), a.at("out_ch"), a.at("patch_size"), a.at("embed_dim"),
                                       a.at("num_heads").get<std::vector<int64_t>>(), a.at("window_size"),
                                       a.at("depths").get<std::vector<int64_t>>(), 4, 0});
                   }}}},
      [](const SwT2NetSettings& s) {
        if (s.embed.size() != 4 || s.heads.size() != 4 || s.depths.size() < 2)
          throw UsageError(concat("embed, heads, depths: expected 4, 4 and at least 2 numbers, got ",
                                  s.embed.size(), ", ", s.heads.size(), " and ", s.depths.size()));
        return std::make_shared<SwT2Net>(s);
      });
}

}  // namespace mambaseg
