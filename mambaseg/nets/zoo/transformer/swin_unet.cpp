// Swin-Unet: Unet-like Pure Transformer for Medical Image Segmentation (Cao et al. 2022), after its public
// code (SwinTransformerSys): a U-Net of Swin Transformer blocks, without convolutions but at its ends. Unlike
// there, images of other sizes than 224 x 224 work: grids that windows do not divide are padded. The
// official argument for the blocks of the decoder has no effect there; both sides have those of `depths`.

#include <algorithm>

#include "mambaseg/nets/blocks/patch2d.h"
#include "mambaseg/nets/blocks/row_of_tokens.h"
#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/blocks/window_attention.h"

namespace mambaseg {
namespace {

constexpr int64_t kPatch = 4;

struct SwinUnetSettings {
  int64_t in_channels = 3;
  int64_t classes = 9;
  int64_t width = 96;
  std::vector<int64_t> depths{2, 2, 2, 2};
  std::vector<int64_t> heads{3, 6, 12, 24};
  int64_t window = 7;
  int64_t mlp_ratio = 4;
  double drop_path = 0.2;
  int64_t edge = 224;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels; one (grey) is repeated to three", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("width", width, "channels of the finest tokens; doubled at each scale", at_least(1));
    visit("depths", depths, "attention blocks of the scales, finest first, on both sides", at_least(1));
    visit("heads", heads, "attention heads of the scales, divisors of their widths", at_least(1));
    visit("window", window, "tokens along each axis that attend to each other", at_least(1));
    visit("mlp_ratio", mlp_ratio, "hidden channels of the MLP / width", at_least(1));
    visit("drop_path", drop_path,
          "training: chance that the deepest block's branches are left out for a sample; falls to 0 towards "
          "the finest",
          between(0, 1));
    visit("edge", edge,
          "image edge that windows are cut for: where its grid of tokens is smaller than the window, the "
          "window "
          "is the grid",
          at_least(kPatch));
  }
};

class SwinUnet : public Network {
 public:
  explicit SwinUnet(const SwinUnetSettings& s);
  Extent size_multiples() const override { return cube(2, kPatch << (down_.size() - 1)); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  struct Stage {
    std::shared_ptr<Linear> join;  ///< the skip, before the layer; null at the coarsest scale
    std::shared_ptr<Layer> layer;
  };
  std::shared_ptr<PatchEmbed2d> embed_;
  std::vector<std::shared_ptr<SwinStage>> down_;  ///< finest first
  std::vector<Stage> up_;                         ///< coarsest first
  std::shared_ptr<LayerNorm> norm_, norm_up_;
  std::shared_ptr<PatchExpand2d> last_up_;
  std::shared_ptr<Convolution> output_;
};

SwinUnet::SwinUnet(const SwinUnetSettings& s) {
  const size_t scales = s.depths.size();
  if (scales < 2 || s.heads.size() != scales)
    throw UsageError(
        concat("depths and heads: expected one number a scale each, of two scales at least, got ", scales,
               " and ", s.heads.size()));
  embed_ = register_module(
      "patch_embed", std::make_shared<PatchEmbed2d>(s.in_channels == 1 ? 3 : s.in_channels, s.width, kPatch));
  int64_t blocks = 0;
  for (const int64_t depth : s.depths) blocks += depth;
  const auto chances = by_scale(rising_drop_path(blocks, s.drop_path), s.depths);
  const auto width = [&](size_t scale) { return s.width << scale; };
  const auto stage = [&](size_t scale) {
    const int64_t window = std::min(s.window, s.edge / (kPatch << scale));
    if (window < 1)
      throw UsageError(concat("edge: expected at least ", kPatch << (scales - 1), ", got ", s.edge));
    const WindowSettings attention{.width = width(scale), .heads = s.heads[scale], .window = cube(2, window)};
    return std::make_shared<SwinStage>(attention, s.mlp_ratio * attention.width, chances[scale]);
  };
  for (size_t scale = 0; scale < scales; ++scale) {
    down_.push_back(stage(scale));
    if (scale + 1 < scales) down_.back()->then("downsample", std::make_shared<PatchMerging2d>(width(scale)));
  }
  const auto coarsest = scales - 1;
  up_.push_back({nullptr, std::make_shared<PatchExpand2d>(width(coarsest), 2)});
  for (size_t scale = coarsest; scale-- > 0;) {
    const auto blocks = stage(scale);
    if (scale > 0) blocks->then("upsample", std::make_shared<PatchExpand2d>(width(scale), 2));
    up_.push_back({std::make_shared<Linear>(2 * width(scale), width(scale)), blocks});
  }
  std::vector<std::shared_ptr<Layer>> layers_up;
  std::vector<std::shared_ptr<Linear>> joins;
  for (const Stage& one : up_) layers_up.push_back(one.layer), joins.push_back(one.join);
  register_list(*this, "layers", down_);
  register_list(*this, "layers_up", layers_up);
  register_list(*this, "concat_back_dim", joins);
  norm_ = register_module("norm", std::make_shared<LayerNorm>(width(coarsest)));
  norm_up_ = register_module("norm_up", std::make_shared<LayerNorm>(s.width));
  last_up_ = register_module("up", std::make_shared<PatchExpand2d>(s.width, kPatch, s.width));
  output_ = register_module("output", conv(2, s.width, s.classes, 1, {.bias = false}));
  start_as_vmamba(*this);  // which has it from the Swin Transformer
}

std::vector<torch::Tensor> SwinUnet::scores(const torch::Tensor& input) {
  torch::Tensor x = embed_->forward(input.size(1) == 1 ? input.repeat({1, 3, 1, 1}) : input);
  std::vector<torch::Tensor> skips;  // what entered each stage
  for (const auto& stage : down_) {
    skips.push_back(x);
    x = stage->forward(x);
  }
  x = norm_->forward(x);
  for (const Stage& stage : up_) {
    if (stage.join) x = stage.join->forward(torch::cat({x, skips.back()}, -1));
    skips.pop_back();
    x = stage.layer->forward(x);
  }
  return {output_->forward(last_up_->forward(norm_up_->forward(x)).movedim(-1, 1))};
}

Json official_settings(const Json& a) {
  SwinUnetSettings s;
  if (argument(a, "ape", false)) throw UsageError("ape: expected false, as published");
  s.edge = argument<int64_t>(a, "img_size", 224);
  s.in_channels = argument<int64_t>(a, "in_chans", 3);
  s.classes = argument<int64_t>(a, "num_classes", 1000);
  s.width = argument<int64_t>(a, "embed_dim", 96);
  s.depths = argument(a, "depths", s.depths);
  s.heads = argument(a, "num_heads", s.heads);
  s.window = argument<int64_t>(a, "window_size", 7);
  s.mlp_ratio = argument<int64_t>(a, "mlp_ratio", 4);
  s.drop_path = argument(a, "drop_path_rate", 0.1);
  return to_json(s);
}

/// The class SwinUnet keeps the network in a member.
std::string our_name(const std::string& official) {
  const std::string member = "swin_unet.";
  return official.starts_with(member) ? official.substr(member.size()) : official;
}

std::shared_ptr<torch::nn::Module> official_block(const Json& a) {
  const WindowSettings attention{.width = a.at("dim"),
                                 .heads = a.at("num_heads"),
                                 .window = cube(2, a.at("window_size")),
                                 .shifted = argument<int64_t>(a, "shift_size", 0) > 0};
  const int64_t hidden = argument<int64_t>(a, "mlp_ratio", 4) * attention.width;
  return std::make_shared<OnRowOfTokens>(a, std::make_shared<SwinBlock>(attention, hidden, 0));
}

constexpr const char* kRepository = "HuCaoFighting/Swin-Unet";
constexpr const char* kCopy = "ziyangwang007/Weak-Mamba-UNet";  // one of its three networks

}  // namespace

NetworkEntry swin_unet_entry() {
  using Module = std::shared_ptr<torch::nn::Module>;
  return network_entry<SwinUnetSettings>(
      {.name = "swin_unet",
       .dims = {2},
       .source = "Cao et al.: Swin-Unet: Unet-like Pure Transformer for Medical Image Segmentation, 2022; "
                 "github.com/HuCaoFighting/Swin-Unet",
       .summary = "2-D U-Net of Swin Transformer blocks",
       .parameters = 27'168'900,
       .small =
           R"({"classes": 3, "width": 8, "depths": [2, 1], "heads": [1, 2], "window": 3, "edge": 32, "drop_path": 0.0})",
       .small_edge = 32,
       .official = {{kRepository, "SwinTransformerSys", official_settings, nullptr, our_name},
                    {kCopy, "SwinTransformerSys", official_settings, nullptr, our_name}},
       .blocks = {{kRepository, {"SwinTransformerBlock"}, official_block, nullptr, OnRowOfTokens::our_name},
                  {kCopy, {"SwinTransformerBlock"}, official_block, nullptr, OnRowOfTokens::our_name},
                  {kRepository,
                   {"PatchMerging"},
                   [](const Json& a) -> Module {
                     return std::make_shared<OnRowOfTokens>(
                         a, std::make_shared<PatchMerging2d>(a.at("dim").get<int64_t>()));
                   },
                   nullptr,
                   OnRowOfTokens::our_name},
                  {kRepository,
                   {"PatchExpand"},
                   [](const Json& a) -> Module {
                     return std::make_shared<OnRowOfTokens>(
                         a, std::make_shared<PatchExpand2d>(a.at("dim").get<int64_t>(), 2));
                   },
                   nullptr,
                   OnRowOfTokens::our_name},
                  {kRepository,
                   {"FinalPatchExpand_X4"},
                   [](const Json& a) -> Module {
                     const int64_t width = a.at("dim");
                     return std::make_shared<OnRowOfTokens>(
                         a, std::make_shared<PatchExpand2d>(width, kPatch, width));
                   },
                   nullptr,
                   OnRowOfTokens::our_name}}},
      [](const SwinUnetSettings& s) { return std::make_shared<SwinUnet>(s); });
}

}  // namespace mambaseg
