// TABSurfer: a Hybrid Deep Learning Architecture for Subcortical Segmentation (Cao et al. 2024), after its
// public code: the shell that MedSegMamba took over, around a transformer at 1/8 resolution. Its second
// class, for the parts of the hippocampus, is a choice of the settings. Names of the shell here are
// MedSegMamba's; `our_name` reads the official ones. Unlike there, grids of any size work: positions are
// interpolated.

#include "mambaseg/nets/blocks/medsegmamba_shell.h"
#include "mambaseg/nets/blocks/transformer_bottleneck.h"

namespace mambaseg {
namespace {

constexpr int64_t kTokenEdge = 8;  // voxels a token spans

struct TabsurferSettings {
  int64_t in_channels = 1;
  int64_t classes = 32;
  std::vector<int64_t> widths{32, 64, 128, 256};
  bool single_convolutions = true;
  int64_t token_width = 1024;
  int64_t heads = 16;
  int64_t layers = 8;
  int64_t edge = 96;
  double dropout = 0.1;
  double attention_dropout = 0.1;
  bool head_norm = true;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("widths", widths, "channels at full, 1/2, 1/4 and 1/8 resolution, multiples of 8", at_least(8));
    visit("single_convolutions", single_convolutions,
          "one convolution in a residual block; two for the parts of the hippocampus");
    visit("token_width", token_width, "channels of the tokens in the transformer", at_least(1));
    visit("heads", heads, "attention heads", at_least(1));
    visit("layers", layers, "blocks of the transformer", at_least(1));
    visit(
        "edge", edge,
        "input edge, a multiple of 8: positions are learnt for its grid of tokens, whose number is the width "
        "inside the MLPs; interpolated for other sizes",
        at_least(8));
    visit("dropout", dropout, "training: dropout behind the attention and in the MLP", between(0, 1));
    visit("attention_dropout", attention_dropout,
          "training: dropout of the attention weights and behind their projection", between(0, 1));
    // The class for whole brains computes the norm and goes on without it; its published weights need that.
    visit("head_norm", head_norm, "a norm behind the transformer; false: its parameters have no effect");
  }
};

std::shared_ptr<Network> tabsurfer(const TabsurferSettings& s) {
  if (s.edge % kTokenEdge != 0)
    throw UsageError(concat("edge: expected a multiple of ", kTokenEdge, ", got ", s.edge));
  MedSegMambaShell shell;
  shell.in_channels = s.in_channels;
  shell.classes = s.classes;
  shell.widths = s.widths;
  shell.token_width = s.token_width;
  shell.single_convolutions = s.single_convolutions;
  shell.head_norm = s.head_norm;
  shell.final_width = s.widths[0];
  return std::make_shared<MedSegMamba>(shell, std::make_shared<TransformerBottleneck>(TransformerSettings{
                                                  s.token_width, cube(3, s.edge / kTokenEdge), s.heads,
                                                  s.layers, s.dropout, s.attention_dropout}));
}

TabsurferSettings official_arguments(const Json& a) {
  TabsurferSettings s;
  if (argument<int64_t>(a, "patch_dim", kTokenEdge) != kTokenEdge)
    throw UsageError("patch_dim: expected 8, the only one that the official class works with");
  s.edge = argument<int64_t>(a, "img_dim", 96);
  s.in_channels = argument<int64_t>(a, "img_ch", 1);
  s.token_width = argument<int64_t>(a, "embedding_dim", 1024);
  s.heads = argument<int64_t>(a, "num_heads", 16);
  s.layers = argument<int64_t>(a, "num_layers", 8);
  s.dropout = argument(a, "dropout_rate", 0.1);
  s.attention_dropout = argument(a, "attn_dropout_rate", 0.1);
  return s;
}

Json official_settings(const Json& a) {
  TabsurferSettings s = official_arguments(a);
  s.classes = argument<int64_t>(a, "output_ch", 32);
  s.head_norm = false;
  return to_json(s);
}

Json official_hippocampal_settings(const Json& a) {
  TabsurferSettings s = official_arguments(a);
  s.classes = argument<int64_t>(a, "output_ch", 13);
  s.widths = {16, 32, 64, 128};
  s.single_convolutions = false;
  return to_json(s);
}

torch::Tensor softmax(const torch::Tensor& scores) { return scores.softmax(1); }

/// A name of ours stays as it is.
std::string our_name(const std::string& official) {
  static const std::pair<const char*, const char*> kBeginnings[] = {
      {"Conv2.", "downconv1.down.1."},
      {"Conv3.", "downconv2.down.1."},
      {"Conv4.", "downconv3.down.1."},
      {"conv_x.", "expand."},
      {"reshaped_conv.", "compress."},
      {"position_encoding.", "bottleneck.position_encoding."},
      {"transformer.", "bottleneck.transformer."}};
  static const std::pair<const char*, const char*> kParts[] = {{".Conv_1x1.", ".identity."},
                                                               {"up.1.weight", "up.0.1.weight"},
                                                               {"up.1.bias", "up.0.1.bias"},
                                                               {"up.2.weight", "up.1.0.weight"},
                                                               {"up.2.bias", "up.1.0.bias"}};
  std::string name = official;
  for (const auto& [theirs, ours] : kBeginnings)
    if (official.starts_with(theirs)) name = ours + official.substr(std::string(theirs).size());
  for (const auto& [theirs, ours] : kParts)
    if (const size_t found = name.find(theirs); found != std::string::npos)
      name.replace(found, std::string(theirs).size(), ours);
  return name;
}

/// What the name is inside a block, which in the network stands under ".".
std::string our_block_name(const std::string& official) { return our_name("." + official).substr(1); }

std::shared_ptr<torch::nn::Module> official_residual(const Json& a, bool single) {
  return std::make_shared<ResBlock3d>(a.at("ch_in"), a.at("ch_out"), ConvStyle{false, false, single});
}

std::shared_ptr<torch::nn::Module> official_transformer(const Json& a) {
  return std::make_shared<TransformerModel>(
      TransformerSettings{.width = a.at("dim"), .heads = a.at("heads"), .layers = a.at("depth")},
      a.at("mlp_dim").get<int64_t>());
}

constexpr const char* kRepository = "aaroncao06/TABSurfer";

}  // namespace

NetworkEntry tabsurfer_entry() {
  using Module = std::shared_ptr<torch::nn::Module>;
  return network_entry<TabsurferSettings>(
      {.name = "tabsurfer",
       .dims = {3},
       .source = "Cao et al.: TABSurfer: a Hybrid Deep Learning Architecture for Subcortical Segmentation, "
                 "2024; github.com/aaroncao06/TABSurfer",
       .summary = "Residual U-Net with a transformer in the bottleneck",
       .parameters = 83'203'904,
       .small =
           R"({"classes": 3, "widths": [8, 8, 16, 16], "token_width": 16, "heads": 4, "layers": 2, "edge": 16})",
       .small_edge = 16,
       .official = {{kRepository, "TABS_new", official_settings, softmax, our_name},
                    {kRepository, "TABS_hipp", official_hippocampal_settings, softmax, our_name}},
       .blocks = {{kRepository,
                   {"resconv_block_3D_new"},
                   [](const Json& a) -> Module { return official_residual(a, true); },
                   nullptr,
                   our_block_name},
                  {kRepository,
                   {"resconv_block_3D"},
                   [](const Json& a) -> Module { return official_residual(a, false); },
                   nullptr,
                   our_block_name},
                  {kRepository,
                   {"up_conv_3D"},
                   [](const Json& a) -> Module {
                     return std::make_shared<UpBlock3d>(a.at("ch_in"), a.at("ch_out"), true, ConvStyle{});
                   },
                   nullptr,
                   our_block_name},
                  {kRepository, {"TransformerModel"}, official_transformer}}},
      [](const TabsurferSettings& s) { return tabsurfer(s); });
}

}  // namespace mambaseg
