// The modules and the whole network of MedSegMamba, and the mixer that SegMambaBot takes from SegMamba.

#include <array>

#include "mambaseg/nets/blocks/conv3d_blocks.h"
#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/ss3d.h"
#include "mambaseg/nets/blocks/transformer_bottleneck.h"
#include "mambaseg/nets/blocks/tri_orientated_mamba.h"
#include "mambaseg/nets/medsegmamba.h"
#include "mambaseg/nets/weights.h"
#include "mambaseg/scan/orders.h"
#include "tests/golden_check/module_check.h"

namespace mambaseg {
namespace {

template <class Module>
GoldenResult check_plain(const GoldenCase& golden, const std::shared_ptr<Module>& module) {
  return check_module(golden, *module, [&](const torch::Tensor& x) { return module->forward(x); });
}

// -- convolution blocks; the defaults are those of the official constructors

ConvStyle conv_style(const GoldenCase& g) { return {argument(g, "preact", true), argument(g, "id", true)}; }

GoldenResult check_conv(const GoldenCase& g) {
  return check_plain(g, std::make_shared<ConvBlock3d>(g.args.at("ch_in"), g.args.at("ch_out")));
}

GoldenResult check_resconv(const GoldenCase& g) {
  return check_plain(g, std::make_shared<ResBlock3d>(g.args.at("ch_in"), g.args.at("ch_out"), conv_style(g)));
}

GoldenResult check_down(const GoldenCase& g) {
  return check_plain(
      g, std::make_shared<DownBlock3d>(g.args.at("ch_in"), g.args.at("ch_out"), argument(g, "maxpool", false),
                                       conv_style(g), argument<int64_t>(g, "kernel_size", 3)));
}

GoldenResult check_up(const GoldenCase& g) {
  return check_plain(
      g, std::make_shared<UpBlock3d>(g.args.at("ch_in"), g.args.at("ch_out"), argument(g, "upsample", true),
                                     conv_style(g), argument<int64_t>(g, "kernel_size", 3)));
}

// -- mixers

constexpr const char* kVanilla = "vanilla";
constexpr const char* kV5 = "v5";
constexpr const char* kV6 = "v6";

Ss3dSettings mixer_settings(const GoldenCase& g, const char* variant, const char* width) {
  Ss3dSettings s;
  s.width = g.args.at(width);
  s.states = argument<int64_t>(g, "d_state", 16);
  s.conv_kernel = argument<int64_t>(g, "d_conv", 3);
  s.expand = argument<double>(g, g.args.contains("expand") ? "expand" : "expansion_factor", 1);
  if (g.args.contains("dt_rank") && g.args["dt_rank"].is_number()) s.dt_rank = g.args["dt_rank"];
  s.bias = argument(g, "bias", false);
  s.conv_bias = argument(g, "conv_bias", true);
  s.variant = variant;
  s.walk = argument<std::string>(g, "scan_type", "scan") == "sweep" ? "sweep" : "snake";
  s.orientation = argument<int64_t>(g, "orientation", 0);
  return s;
}

template <const char* const& variant>
GoldenResult check_ss3d(const GoldenCase& g) {
  return check_plain(g, std::make_shared<SS3D>(mixer_settings(g, variant, "d_model")));
}

template <const char* const& variant>
GoldenResult check_block(const GoldenCase& g) {
  const Ss3dSettings mixer = mixer_settings(g, variant, "hidden_dim");
  const bool mlp = mixer.variant != "vanilla";
  MixerBlockSettings block;
  block.width = mixer.width;
  block.mlp_hidden = mlp ? static_cast<int64_t>(mixer.expand * static_cast<double>(mixer.width)) : 0;
  block.norm_eps = 1e-6;  // the default of the official block; the layer below passes 1e-5
  return check_plain(g, std::make_shared<MixerBlock3d>(block, std::make_shared<SS3D>(mixer)));
}

/// The official version names, None being the vanilla block.
std::string bottleneck_name(const GoldenCase& g, const char* key) {
  if (!g.args.contains(key))
    return g.official_class.find("v6") != std::string::npos     ? "v6"
           : g.official_class.find("None") != std::string::npos ? "vanilla"
                                                                : "v5";
  if (g.args[key].is_null()) return "vanilla";
  const std::string name = g.args[key];
  return name == "TABSurfer" ? "transformer" : name;
}

MedSegMambaSettings bottleneck_settings(const GoldenCase& g, const char* version, const char* expand) {
  MedSegMambaSettings s;
  s.bottleneck = bottleneck_name(g, version);
  s.expand = argument<double>(g, expand, 1);
  s.mlp_ratio = static_cast<int64_t>(s.expand);
  s.walk = argument<std::string>(g, "scan_type", "scan") == "sweep" ? "sweep" : "snake";
  return s;
}

GoldenResult check_layer(const GoldenCase& g) {
  MedSegMambaSettings s = bottleneck_settings(g, "version", "expansion_factor");
  s.token_width = g.args.at("dim");
  s.layers = argument<int64_t>(g, "depth", 0);
  s.states = argument<int64_t>(g, "d_state", 64);
  if (g.args.contains("orientation_order") && g.args["orientation_order"].is_array()) {
    s.orientations = g.args["orientation_order"].get<std::vector<int64_t>>();
    s.layers = static_cast<int64_t>(s.orientations.size());
  }
  return check_plain(g, make_medsegmamba_bottleneck(s));
}

GoldenResult check_transformer(const GoldenCase& g) {
  TransformerSettings s;
  const int64_t edge = argument<int64_t>(g, "dim", 12);
  s.tokens = edge * edge * edge;
  s.width = argument<int64_t>(g, "embedding_dim", 1024);
  s.heads = argument<int64_t>(g, "num_heads", 16);
  s.layers = argument<int64_t>(g, "num_layers", 8);
  return check_plain(g, std::make_shared<TransformerBottleneck>(s));
}

// -- the walks

GoldenResult check_orders(const GoldenCase& g) {
  const int64_t edge = g.args.at("size");
  const auto table = [&](int orientations, auto orders) {
    std::vector<torch::Tensor> rows;
    for (int o = 0; o < orientations; ++o)
      for (const ScanOrder& order : orders(TokenGrid{edge, edge, edge}, o))
        rows.push_back(torch::tensor(order));
    return torch::stack(rows).view({orientations, -1, edge * edge * edge});
  };
  GoldenComparison comparison(g);
  const BaseCurve curve = base_curve(argument<std::string>(g, "scan_type", "scan"));
  comparison.output("order",
                    table(6, [&](const TokenGrid& grid, int o) { return snake_orders(grid, o, curve); }));
  if (g.has("output.order_v6")) comparison.output("order_v6", table(8, rotated_raster_orders));
  return comparison.result();
}

// -- the whole network

MedSegMambaSettings network_settings(const GoldenCase& g) {
  MedSegMambaSettings s = bottleneck_settings(g, "vss_version", "ssm_expansion_factor");
  const auto channels = argument<std::vector<int64_t>>(g, "channel_sizes", {1, 32, 64, 128, 256, 1024});
  s.preactivation = argument(g, "preact", false);
  s.in_channels = s.preactivation ? argument<int64_t>(g, "img_ch", 1) : channels.at(0);
  s.widths.assign(channels.begin() + 1, channels.begin() + 5);
  s.token_width = channels.at(5);
  s.classes = argument<int64_t>(g, "output_ch", 32);
  s.states = argument<int64_t>(g, "mamba_d_state", 64);
  s.layers = argument<int64_t>(g, "num_layers", 9);
  s.plain_identity = argument(g, "id", false);
  s.max_pool = argument(g, "maxpool", true);
  s.nearest_up = argument(g, "upsample", true);
  s.full_final_block = argument(g, "full_final_block", true);
  s.edge = argument<int64_t>(g, "img_dim", 96);
  return s;
}

GoldenResult check_network(const GoldenCase& g) {
  const auto network = make_medsegmamba(network_settings(g));
  load_weights(*network, g.weights());
  network->eval();
  torch::NoGradGuard no_grad;
  GoldenComparison comparison(g);
  const auto compare = [&](const std::string& name, const torch::Tensor& value) {
    if (g.has("output." + name)) comparison.output(name, value);
  };
  const torch::Tensor logits =
      network->logits(golden_input(g, "x"), [&](const std::string& module, const auto& value) {
        compare(module == "Up_conv4" ? "up_conv4" : module, value);
      });
  compare("logits", logits);
  compare("prob", logits.softmax(1));
  compare("y", logits.softmax(1));
  return comparison.result();
}

// -- SegMamba

TriOrientatedMambaSettings tri_settings(const GoldenCase& g, const char* width, const char* slices) {
  TriOrientatedMambaSettings s;
  s.width = g.args.at(width);
  s.states = argument<int64_t>(g, "d_state", 16);
  s.conv_kernel = argument<int64_t>(g, "d_conv", 4);
  s.expand = argument<int64_t>(g, "expand", 2);
  s.slices = argument<int64_t>(g, slices, 5);
  s.bias = argument(g, "bias", false);
  return s;
}

GoldenResult check_tri_orientated(const GoldenCase& g) {
  const auto mixer = std::make_shared<TriOrientatedMamba>(tri_settings(g, "d_model", "nslices"));
  return check_module(g, *mixer, [&](const torch::Tensor& x_BLC) {
    return mixer->forward(x_BLC.unsqueeze(1).unsqueeze(1)).flatten(1, 3);
  });
}

constexpr std::array kChecks{
    GoldenCheck{"conv", check_conv},
    GoldenCheck{"conv_block_3D", check_conv},
    GoldenCheck{"resconv", check_resconv},
    GoldenCheck{"ResConvBlock3D", check_resconv},
    GoldenCheck{"down", check_down},
    GoldenCheck{"down_block", check_down},
    GoldenCheck{"up", check_up},
    GoldenCheck{"upconv", check_up},
    GoldenCheck{"SS3D", check_ss3d<kVanilla>},
    GoldenCheck{"SS3D_v5", check_ss3d<kV5>},
    GoldenCheck{"SS3D_v6", check_ss3d<kV6>},
    GoldenCheck{"VSSBlock3D", check_block<kVanilla>},
    GoldenCheck{"VSSBlock3D_v5", check_block<kV5>},
    GoldenCheck{"VSSBlock3D_v6", check_block<kV6>},
    GoldenCheck{"VSSLayer3D", check_layer},
    GoldenCheck{"VSSLayer3D(version=None)", check_layer},
    GoldenCheck{"VSSLayer3D(version=v5)", check_layer},
    GoldenCheck{"VSSLayer3D(version=v6)", check_layer},
    GoldenCheck{"TransformerBottleneck", check_transformer},
    GoldenCheck{"HSCANS + SS3D_v5.forward_core (gather order)", check_orders},
    GoldenCheck{"MedSegMamba", check_network},
    GoldenCheck{"Mamba(bimamba_type=v3)", check_tri_orientated},
};

}  // namespace

std::span<const GoldenCheck> medsegmamba_checks() { return kChecks; }

}  // namespace mambaseg
