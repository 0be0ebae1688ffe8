// UNETR: Transformers for 3D Medical Image Segmentation (Hatamizadeh et al. 2022), after MONAI's class: a
// vision transformer reads patches of 16 voxels; convolutions bring what its fourth, seventh, tenth and last
// block give to the decoder of a U-Net. Unlike there, images of other sizes than the positions were learnt
// for work, by interpolation.

#include "mambaseg/nets/blocks/attention.h"
#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/blocks/unetr_blocks.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {
namespace {

constexpr int64_t kPatch = 16;
constexpr int64_t kLayers = 12;

struct UnetrSettings {
  int64_t dims = 3;
  int64_t in_channels = 1;
  int64_t classes = 14;
  std::vector<int64_t> size{96};
  int64_t feature_size = 16;
  int64_t hidden_size = 768;
  int64_t mlp_width = 3072;
  int64_t heads = 12;
  bool qkv_bias = false;
  double dropout = 0;

  void describe(SettingsVisitor& visit) {
    visit("dims", dims, "spatial dimensions, 2 or 3", between(2, 3));
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit(
        "size", size,
        "image size that positions are learnt for, multiples of 16, one number or one an axis; interpolated "
        "for others",
        at_least(kPatch));
    visit("feature_size", feature_size, "channels at full resolution", at_least(1));
    visit("hidden_size", hidden_size, "channels of the tokens", at_least(1));
    visit("mlp_width", mlp_width, "channels inside the MLPs", at_least(1));
    visit("heads", heads, "attention heads", at_least(1));
    visit("qkv_bias", qkv_bias, "a bias for queries, keys and values");
    visit("dropout", dropout, "training: dropout behind the patches, in the attention and the MLP",
          between(0, 1));
  }
};

/// A block of MONAI's vision transformer.
std::shared_ptr<MixerBlock> transformer_block(const UnetrSettings& s) {
  return std::make_shared<MixerBlock>(
      MixerBlockSettings{.width = s.hidden_size,
                         .mlp_hidden = s.mlp_width,
                         .mlp_dropout = s.dropout,
                         .names = {"norm1", "attn", "norm2", "mlp", "linear1", "linear2"}},
      std::make_shared<SelfAttention>(AttentionSettings{.width = s.hidden_size,
                                                        .heads = s.heads,
                                                        .bias = s.qkv_bias,
                                                        .dropout = s.dropout,
                                                        .out_dropout = s.dropout,
                                                        .out = "out_proj"}));
}

class Unetr : public Network, public ComputesEntries {
 public:
  explicit Unetr(const UnetrSettings& s);
  Extent size_multiples() const override { return cube(dims_, kPatch); }
  /// Later releases of MONAI hold a cross attention that nothing uses.
  bool check_computed(const std::string& name, const torch::Tensor&) const override {
    return name.find(".cross_attn.") != std::string::npos ||
           name.find(".norm_cross_attn.") != std::string::npos;
  }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  int64_t dims_;
  std::shared_ptr<PatchEmbedding> embedding_;
  std::shared_ptr<Dropout> dropout_;
  std::vector<std::shared_ptr<MixerBlock>> blocks_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Layer> encoder1_, encoder2_, encoder3_, encoder4_, head_;
  std::shared_ptr<UnetrUpBlock> decoder5_, decoder4_, decoder3_, decoder2_;
};

Unetr::Unetr(const UnetrSettings& s) : dims_(s.dims) {
  Extent grid = per_stage(s.size, s.dims, "size");
  for (int64_t& size : grid) {
    if (size % kPatch != 0) throw UsageError(concat("size: expected multiples of ", kPatch, ", got ", size));
    size /= kPatch;
  }
  const auto vit = register_module("vit", std::make_shared<torch::nn::Module>());
  embedding_ = vit->register_module(
      "patch_embedding", std::make_shared<PatchEmbedding>(s.in_channels, s.hidden_size, kPatch, grid, 0.02));
  dropout_ = register_module("dropout", std::make_shared<Dropout>(s.dropout));
  for (int64_t i = 0; i < kLayers; ++i) blocks_.push_back(transformer_block(s));
  register_list(*vit, "blocks", blocks_);
  norm_ = vit->register_module("norm", std::make_shared<LayerNorm>(s.hidden_size));

  const int64_t f = s.feature_size, h = s.hidden_size;
  const auto raise = [&](const char* name, int64_t out, int64_t layers) {
    return register_module(name, std::make_shared<UnetrPrUpBlock>(s.dims, h, out, layers));
  };
  const auto up = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, std::make_shared<UnetrUpBlock>(s.dims, in, out));
  };
  encoder1_ = register_module("encoder1", std::make_shared<UnetrBasicBlock>(s.dims, s.in_channels, f));
  encoder2_ = raise("encoder2", 2 * f, 2);
  encoder3_ = raise("encoder3", 4 * f, 1);
  encoder4_ = raise("encoder4", 8 * f, 0);
  decoder5_ = up("decoder5", h, 8 * f);
  decoder4_ = up("decoder4", 8 * f, 4 * f);
  decoder3_ = up("decoder3", 4 * f, 2 * f);
  decoder2_ = up("decoder2", 2 * f, f);
  head_ = register_module("out", unetr_head(s.dims, f, s.classes));
}

std::vector<torch::Tensor> Unetr::scores(const torch::Tensor& image) {
  torch::Tensor x = dropout_->forward(embedding_->forward(image));
  std::vector<torch::Tensor> hidden;
  for (const auto& block : blocks_) hidden.push_back(x = block->forward(x));
  const auto channels_first = [](const torch::Tensor& tokens) { return tokens.movedim(-1, 1); };
  x = decoder5_->forward(channels_first(norm_->forward(x)), encoder4_->forward(channels_first(hidden[9])));
  x = decoder4_->forward(x, encoder3_->forward(channels_first(hidden[6])));
  x = decoder3_->forward(x, encoder2_->forward(channels_first(hidden[3])));
  x = decoder2_->forward(x, encoder1_->forward(image));
  return {head_->forward(x)};
}

UnetrSettings official_arguments(const Json& a) {
  for (const char* only_true : {"conv_block", "res_block"})
    if (!argument(a, only_true, true)) throw UsageError(concat(only_true, ": expected true, as published"));
  if (argument<std::string>(a, "norm_name", "instance") != "instance")
    throw UsageError("norm_name: expected instance, as published");
  UnetrSettings s;
  s.dims = argument<int64_t>(a, "spatial_dims", 3);
  s.hidden_size = argument<int64_t>(a, "hidden_size", 768);
  s.mlp_width = argument<int64_t>(a, "mlp_dim", 3072);
  s.heads = argument<int64_t>(a, "num_heads", 12);
  s.qkv_bias = argument(a, "qkv_bias", false);
  s.dropout = argument(a, "dropout_rate", 0.0);
  return s;
}

Json official_settings(const Json& a) {
  UnetrSettings s = official_arguments(a);
  s.in_channels = a.at("in_channels");
  s.classes = a.at("out_channels");
  s.size = stage_numbers(a, "img_size");
  s.feature_size = argument<int64_t>(a, "feature_size", 16);
  return to_json(s);
}

torch::Tensor run_up_block(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<UnetrUpBlock&>(module).forward(inputs.at("x"), inputs.at("skip"));
}

}  // namespace

NetworkEntry unetr_entry() {
  using Module = std::shared_ptr<torch::nn::Module>;
  const char* repository = "Project-MONAI/MONAI";
  return network_entry<UnetrSettings>(
      {.name = "unetr",
       .dims = {2, 3},
       .source = "Hatamizadeh et al.: UNETR: Transformers for 3D Medical Image Segmentation, 2022; "
                 "github.com/Project-MONAI/MONAI",
       .summary = "Vision transformer as the encoder of a U-Net",
       .parameters = 92'784'046,
       .small =
           R"({"classes": 3, "size": [32], "feature_size": 4, "hidden_size": 16, "mlp_width": 32, "heads": 4})",
       .small_edge = 32,
       .official = {{repository, "UNETR", official_settings}},
       .blocks = {{repository,
                   {"TransformerBlock"},
                   [](const Json& a) -> Module { return transformer_block(official_arguments(a)); }},
                  {repository,
                   {"UnetrPrUpBlock"},
                   [](const Json& a) -> Module {
                     return std::make_shared<UnetrPrUpBlock>(a.at("spatial_dims"), a.at("in_channels"),
                                                             a.at("out_channels"), a.at("num_layer"),
                                                             argument(a, "conv_block", false));
                   }},
                  {repository,
                   {"UnetrUpBlock"},
                   [](const Json& a) -> Module {
                     return std::make_shared<UnetrUpBlock>(a.at("spatial_dims"), a.at("in_channels"),
                                                           a.at("out_channels"),
                                                           argument<int64_t>(a, "upsample_kernel_size", 2));
                   },
                   run_up_block}}},
      [](const UnetrSettings& s) { return std::make_shared<Unetr>(s); });
}

}  // namespace mambaseg
