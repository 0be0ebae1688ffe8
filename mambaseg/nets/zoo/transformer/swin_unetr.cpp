// Swin UNETR (Hatamizadeh et al. 2022), after MONAI's class (its first version, use_v2 false): a Swin
// Transformer reads patches of two voxels; residual convolutions bring the tokens of its scales to the
// decoder of a U-Net.

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/patch2d.h"
#include "mambaseg/nets/blocks/unetr_blocks.h"
#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/blocks/window_attention.h"
#include "mambaseg/ops/norm.h"

namespace mambaseg {
namespace {

constexpr size_t kStages = 4;

struct SwinUnetrSettings {
  int64_t dims = 3;
  int64_t in_channels = 1;
  int64_t classes = 14;
  int64_t feature_size = 24;
  std::vector<int64_t> depths{2, 2, 2, 2};
  std::vector<int64_t> heads{3, 6, 12, 24};
  int64_t window = 7;
  int64_t mlp_ratio = 4;
  double drop_path = 0;
  bool norm_skips = true;
  std::string merging = "merging";
  bool corner_positions = false;

  void describe(SettingsVisitor& visit) {
    visit("dims", dims, "spatial dimensions, 2 or 3", between(2, 3));
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("feature_size", feature_size, "channels at full resolution and of the finest tokens", at_least(1));
    visit("depths", depths, "attention blocks of the four stages, finest first", at_least(1));
    visit("heads", heads, "attention heads of the four stages, divisors of their widths", at_least(1));
    visit("window", window, "tokens along each axis that attend to each other", at_least(1));
    visit("mlp_ratio", mlp_ratio, "hidden channels of the MLP / width", at_least(1));
    visit("drop_path", drop_path,
          "training: chance that the last block's branches are left out for a sample; rises from 0 at the "
          "first",
          between(0, 1));
    visit("norm_skips", norm_skips, "a norm without parameters over the channels of what leaves the encoder");
    // Until 2022 two of the eight places were joined twice and two not at all; weights of then need that.
    visit("merging", merging,
          "order in which eight tokens are joined: merging; mergingv2, row-major; repeating, as MONAI had it "
          "when first weights were published, two tokens twice",
          one_of({"merging", "mergingv2", "repeating"}));
    visit(
        "corner_positions", corner_positions,
        "where the grid is smaller than the window, positions of tokens in a corner of the table, as MONAI's "
        "code has it; published weights need it");
  }
};

JoinOrder join_order(const std::string& merging, int64_t dims) {
  if (dims == 2) return PatchMerging::plane();
  if (merging == "mergingv2")
    return {{0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {0, 1, 1}, {1, 0, 0}, {1, 0, 1}, {1, 1, 0}, {1, 1, 1}};
  if (merging == "repeating")
    return {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 0, 1}, {0, 1, 0}, {0, 0, 1}, {1, 1, 1}};
  return {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, 0}, {1, 0, 1}, {0, 1, 1}, {1, 1, 1}};
}

WindowSettings window_settings(const SwinUnetrSettings& s, int64_t width, int64_t heads) {
  return {.width = width,
          .heads = heads,
          .window = cube(s.dims, s.window),
          .corner_positions = s.corner_positions};
}

std::shared_ptr<SwinStage> stage(const SwinUnetrSettings& s, int64_t width, int64_t heads,
                                 const std::vector<double>& drop_path) {
  const auto made = std::make_shared<SwinStage>(window_settings(s, width, heads), s.mlp_ratio * width,
                                                drop_path, "linear1", "linear2");
  made->then("downsample", std::make_shared<PatchMerging>(width, join_order(s.merging, s.dims)));
  return made;
}

class SwinUnetr : public Network {
 public:
  explicit SwinUnetr(const SwinUnetrSettings& s);
  Extent size_multiples() const override { return cube(dims_, int64_t{2} << kStages); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  /// Tokens for the decoder, channels first.
  torch::Tensor skip(const torch::Tensor& x_BSC) const;

  int64_t dims_;
  bool norm_skips_;
  std::shared_ptr<Convolution> embed_;
  std::vector<std::shared_ptr<SwinStage>> stages_;
  std::vector<std::shared_ptr<UnetrBasicBlock>> encoders_;  ///< image, tokens, first two stages, last stage
  std::vector<std::shared_ptr<UnetrUpBlock>> decoders_;     ///< coarsest first
  std::shared_ptr<Layer> head_;
};

SwinUnetr::SwinUnetr(const SwinUnetrSettings& s) : dims_(s.dims), norm_skips_(s.norm_skips) {
  if (s.depths.size() != kStages || s.heads.size() != kStages)
    throw UsageError(concat("depths and heads: expected ", kStages, " numbers each, got ", s.depths.size(),
                            " and ", s.heads.size()));
  const int64_t f = s.feature_size;
  const auto vit = register_module("swinViT", std::make_shared<torch::nn::Module>());
  embed_ = vit->register_module("patch_embed", std::make_shared<torch::nn::Module>())
               ->register_module("proj", conv(s.dims, s.in_channels, f, 2,
                                              {.stride = cube(s.dims, 2), .padding = cube(s.dims, 0)}));
  int64_t blocks = 0;
  for (const int64_t depth : s.depths) blocks += depth;
  const auto chances = by_scale(rising_drop_path(blocks, s.drop_path), s.depths);
  for (size_t i = 0; i < kStages; ++i) {
    stages_.push_back(stage(s, f << i, s.heads[i], chances[i]));
    register_list<Layer>(*vit, "layers" + std::to_string(i + 1), {stages_.back()});
  }
  const auto encoder = [&](const char* name, int64_t in, int64_t out) {
    encoders_.push_back(register_module(name, std::make_shared<UnetrBasicBlock>(s.dims, in, out)));
  };
  encoder("encoder1", s.in_channels, f);
  encoder("encoder2", f, f);
  encoder("encoder3", 2 * f, 2 * f);
  encoder("encoder4", 4 * f, 4 * f);
  encoder("encoder10", 16 * f, 16 * f);
  for (int64_t i = 5; i > 0; --i) {
    const int64_t out = i == 1 ? f : f << (i - 2), in = i == 1 ? f : 2 * out;
    decoders_.push_back(
        register_module("decoder" + std::to_string(i), std::make_shared<UnetrUpBlock>(s.dims, in, out)));
  }
  head_ = register_module("out", unetr_head(s.dims, f, s.classes));
}

torch::Tensor SwinUnetr::skip(const torch::Tensor& x_BSC) const {
  return (norm_skips_ ? layer_norm(x_BSC, {}, {}, 1e-5) : x_BSC).movedim(-1, 1);
}

std::vector<torch::Tensor> SwinUnetr::scores(const torch::Tensor& image) {
  std::vector<torch::Tensor> tokens{embed_->forward(image).movedim(1, -1)};
  for (const auto& one : stages_) tokens.push_back(one->forward(tokens.back()));
  for (torch::Tensor& x : tokens) x = skip(x);
  torch::Tensor x = decoders_[0]->forward(encoders_[4]->forward(tokens[4]), tokens[3]);
  for (size_t i = 1; i < 4; ++i) x = decoders_[i]->forward(x, encoders_[4 - i]->forward(tokens[3 - i]));
  return {head_->forward(decoders_[4]->forward(x, encoders_[0]->forward(image)))};
}

Json official_settings(const Json& a) {
  if (argument(a, "use_v2", false)) throw UsageError("use_v2: expected false, the first version");
  if (argument<int64_t>(a, "patch_size", 2) != 2) throw UsageError("patch_size: expected 2");
  SwinUnetrSettings s;
  s.dims = argument<int64_t>(a, "spatial_dims", 3);
  s.in_channels = a.at("in_channels");
  s.classes = a.at("out_channels");
  s.feature_size = argument<int64_t>(a, "feature_size", 24);
  s.depths = argument(a, "depths", s.depths);
  s.heads = argument(a, "num_heads", s.heads);
  s.window = argument<int64_t>(a, "window_size", 7);
  s.drop_path = argument(a, "dropout_path_rate", 0.0);
  s.norm_skips = argument(a, "normalize", true);
  s.merging = argument<std::string>(a, "downsample", "merging");
  s.corner_positions = true;
  return to_json(s);
}

/// Releases before 2022 have another name for the layers of an MLP and a prefix of their own.
std::string our_name(const std::string& official) {
  std::string name = official.starts_with("module.") ? official.substr(7) : official;
  if (const size_t found = name.find(".mlp.fc"); found != std::string::npos)
    name.replace(found, 7, ".mlp.linear");
  return name;
}

/// What the arguments of the official blocks say.
SwinUnetrSettings block_settings(const Json& a) {
  SwinUnetrSettings s;
  s.window = argument<Extent>(a, "window_size", {7, 7, 7})[0];
  s.corner_positions = true;
  s.merging = argument<std::string>(a, "downsample", "merging");
  return s;
}

std::shared_ptr<torch::nn::Module> official_block(const Json& a) {
  const SwinUnetrSettings s = block_settings(a);
  WindowSettings attention = window_settings(s, a.at("dim"), a.at("num_heads"));
  attention.shifted = a.at("shift_size").get<Extent>() != cube(s.dims, 0);
  const int64_t hidden = argument<int64_t>(a, "mlp_ratio", 4) * attention.width;
  return std::make_shared<SwinBlock>(attention, hidden, 0, "linear1", "linear2");
}

std::shared_ptr<torch::nn::Module> official_stage(const Json& a) {
  return stage(block_settings(a), a.at("dim"), a.at("num_heads"),
               std::vector<double>(a.at("depth").get<size_t>(), 0.0));
}

/// The official one has channels first.
torch::Tensor run_stage(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<SwinStage&>(module).forward(inputs.at("x").movedim(1, -1)).movedim(-1, 1);
}

/// The official block is tried as the member b of a module.
std::string without_b(const std::string& official) {
  return official.starts_with("b.") ? official.substr(2) : official;
}

}  // namespace

NetworkEntry swin_unetr_entry() {
  using Module = std::shared_ptr<torch::nn::Module>;
  const char* repository = "Project-MONAI/MONAI";
  return network_entry<SwinUnetrSettings>(
      {.name = "swin_unetr",
       .dims = {2, 3},
       .source =
           "Hatamizadeh et al.: Swin UNETR: Swin Transformers for Semantic Segmentation of Brain Tumors "
           "in MRI Images, 2022; github.com/Project-MONAI/MONAI",
       .summary = "Swin Transformer as the encoder of a U-Net",
       .parameters = 15'703'304,
       .small =
           R"({"classes": 3, "feature_size": 4, "depths": [2, 1, 1, 1], "heads": [1, 2, 2, 4], "window": 3})",
       .small_edge = 32,
       .official = {{repository, "SwinUNETR", official_settings, nullptr, our_name}},
       .blocks = {{repository, {"SwinTransformerBlock"}, official_block, nullptr, without_b},
                  {repository, {"BasicLayer"}, official_stage, run_stage},
                  {repository,
                   {"PatchMerging"},
                   [](const Json& a) -> Module {
                     return std::make_shared<PatchMerging>(a.at("dim").get<int64_t>(),
                                                           join_order("merging", 3));
                   }}}},
      [](const SwinUnetrSettings& s) { return std::make_shared<SwinUnetr>(s); });
}

}  // namespace mambaseg
