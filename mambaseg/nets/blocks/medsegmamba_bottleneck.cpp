#include "mambaseg/nets/blocks/medsegmamba_bottleneck.h"

#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/ss3d.h"
#include "mambaseg/nets/blocks/transformer_bottleneck.h"

namespace mambaseg {
namespace {

constexpr int64_t kTokenEdge = 8;  // voxels of the folded grid that a token spans

}  // namespace

std::shared_ptr<Layer> make_medsegmamba_bottleneck(const MedSegMambaSettings& s) {
  if (s.bottleneck == "transformer") {
    const Extent grid = cube(3, s.edge / (kTokenEdge * s.fold));
    return std::make_shared<TransformerBottleneck>(
        TransformerSettings{s.token_width, grid, s.heads, s.layers, s.mlp_dropout, s.dropout});
  }
  if (!s.orientations.empty() && static_cast<int64_t>(s.orientations.size()) != s.layers)
    throw UsageError(concat("orientations: expected one for each of the ", s.layers, " layers, got ",
                            s.orientations.size()));
  const int64_t hidden = s.bottleneck == "vanilla" ? 0 : s.mlp_ratio * s.token_width;
  const MixerBlockSettings block{s.token_width, hidden, s.mlp_dropout, s.drop_path};
  std::vector<std::shared_ptr<Layer>> blocks;
  for (int64_t i = 0; i < s.layers; ++i) {
    Ss3dSettings mixer;
    mixer.width = s.token_width;
    mixer.states = s.states;
    mixer.conv_kernel = s.conv_kernel;
    mixer.expand = s.expand;
    mixer.dt_rank = s.dt_rank;
    mixer.dropout = s.dropout;
    mixer.bias = s.ssm_bias;
    mixer.variant = s.bottleneck;
    mixer.walk = s.walk;
    mixer.orientation = s.orientations.empty() ? i : s.orientations[static_cast<size_t>(i)];
    blocks.push_back(std::make_shared<MixerBlock>(block, std::make_shared<SS3D>(mixer)));
  }
  return std::make_shared<MixerStack3d>(std::move(blocks));
}

namespace {

Ss3dSettings official_mixer(const Json& a, const char* variant, const char* width) {
  Ss3dSettings s;
  s.width = a.at(width);
  s.states = argument<int64_t>(a, "d_state", 16);
  s.conv_kernel = argument<int64_t>(a, "d_conv", 3);
  s.expand = argument<double>(a, a.contains("expand") ? "expand" : "expansion_factor", 1);
  if (a.contains("dt_rank") && a["dt_rank"].is_number()) s.dt_rank = a["dt_rank"];
  s.bias = argument(a, "bias", false);
  s.conv_bias = argument(a, "conv_bias", true);
  s.variant = variant;
  s.walk = argument<std::string>(a, "scan_type", "scan") == "sweep" ? "sweep" : "snake";
  s.orientation = argument<int64_t>(a, "orientation", 0);
  return s;
}

std::shared_ptr<Layer> official_block(const Json& a, const char* variant) {
  const Ss3dSettings mixer = official_mixer(a, variant, "hidden_dim");
  const bool mlp = mixer.variant != "vanilla";
  MixerBlockSettings block;
  block.width = mixer.width;
  block.mlp_hidden = mlp ? static_cast<int64_t>(mixer.expand * static_cast<double>(mixer.width)) : 0;
  block.norm_eps = 1e-6;  // the default of the official block; the layer below passes 1e-5
  return std::make_shared<MixerBlock>(block, std::make_shared<SS3D>(mixer));
}

/// `version` where the arguments say nothing; None there is the vanilla block.
std::shared_ptr<Layer> official_layer(const Json& a, const std::string& version) {
  MedSegMambaSettings s;
  s.bottleneck = version;
  if (a.contains("version"))
    s.bottleneck = a["version"].is_null() ? "vanilla" : a["version"].get<std::string>();
  s.expand = argument<double>(a, "expansion_factor", 1);
  s.mlp_ratio = static_cast<int64_t>(s.expand);
  s.walk = argument<std::string>(a, "scan_type", "scan") == "sweep" ? "sweep" : "snake";
  s.token_width = a.at("dim");
  s.layers = argument<int64_t>(a, "depth", 0);
  s.states = argument<int64_t>(a, "d_state", 64);
  if (a.contains("orientation_order") && a["orientation_order"].is_array()) {
    s.orientations = a["orientation_order"].get<std::vector<int64_t>>();
    s.layers = static_cast<int64_t>(s.orientations.size());
  }
  return make_medsegmamba_bottleneck(s);
}

std::shared_ptr<Layer> official_transformer(const Json& a) {
  TransformerSettings s;
  s.grid = cube(3, argument<int64_t>(a, "dim", 12));
  s.width = argument<int64_t>(a, "embedding_dim", 1024);
  s.heads = argument<int64_t>(a, "num_heads", 16);
  s.layers = argument<int64_t>(a, "num_layers", 8);
  return std::make_shared<TransformerBottleneck>(s);
}

template <const char* const& variant>
std::shared_ptr<torch::nn::Module> mixer(const Json& a) {
  return std::make_shared<SS3D>(official_mixer(a, variant, "d_model"));
}

template <const char* const& variant>
std::shared_ptr<torch::nn::Module> block(const Json& a) {
  return official_block(a, variant);
}

template <const char* const& variant>
std::shared_ptr<torch::nn::Module> layer(const Json& a) {
  return official_layer(a, variant);
}

constexpr const char* kVanilla = "vanilla";
constexpr const char* kV5 = "v5";
constexpr const char* kV6 = "v6";

}  // namespace

std::vector<OfficialBlock> official_medsegmamba_mixers() {
  const char* repository = "aaroncao06/MedSegMamba";
  return {{repository, {"SS3D"}, mixer<kVanilla>},
          {repository, {"SS3D_v5"}, mixer<kV5>},
          {repository, {"SS3D_v6"}, mixer<kV6>},
          {repository, {"VSSBlock3D"}, block<kVanilla>},
          {repository, {"VSSBlock3D_v5"}, block<kV5>},
          {repository, {"VSSBlock3D_v6"}, block<kV6>},
          {repository, {"VSSLayer3D(version=None)"}, layer<kVanilla>},
          {repository, {"VSSLayer3D", "VSSLayer3D(version=v5)"}, layer<kV5>},
          {repository, {"VSSLayer3D(version=v6)"}, layer<kV6>},
          {repository, {"TransformerBottleneck"}, [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
             return official_transformer(a);
           }}};
}

}  // namespace mambaseg
