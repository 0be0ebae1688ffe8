// ASP-VMUNet: Atrous Shifted Parallel Vision Mamba U-Net for Skin Lesion Segmentation (Bao et al. 2025, arXiv
// 2503.19427), after its public code, whose module names it keeps: UltraLight VM-UNet's frame, in which pairs
// of layers scan chunks of channels, the second with the chunks cut half a chunk later (shifted round). The
// scan is atrous: sub-grids of every second token, each by itself. Beside every layer runs a depthwise
// convolution; both are gated by one squeeze-and-excitation and a selective kernel sums them. Unlike there,
// forward returns scores before the sigmoid, and pictures need not be square.

#include <algorithm>
#include <cmath>

#include "mambaseg/nets/blocks/bridged_unet.h"
#include "mambaseg/nets/blocks/pvm_layer.h"
#include "mambaseg/nets/blocks/selective_kernel.h"
#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

constexpr size_t kDeepScale = 4;  // whose encoder stage has six layers instead of two

/// How the layers are built.
struct AspLayerSettings {
  std::string scan = "atrous";
  int64_t conv_kernel = 3;
  bool shifted_round = true;
  bool convolution = true;
  bool excitation = true;
  bool selection = true;
};

/// The defaults are those of the repository's configuration.
struct AspVmunetSettings : BridgedUnetSettings, AspLayerSettings {
  std::vector<int64_t> encoder_steps{2, 2, 2, 2, 4}, decoder_steps{4, 2, 2, 2, 2};

  AspVmunetSettings() { widths = {32, 64, 96, 128, 256, 384}; }
  void describe(SettingsVisitor& visit) {
    BridgedUnetSettings::describe(visit);
    visit("scan", scan, "the walks over a plane, or mamba for Mamba in raster order",
          one_of({"atrous", "atrous_cross", "cross", "raster", "mamba"}));
    visit("conv_kernel", conv_kernel, "edge of the convolution in front of the scan, odd", at_least(1));
    visit("encoder_steps", encoder_steps, "of the atrous walks in scales two to six of the encoder",
          at_least(1));
    visit("decoder_steps", decoder_steps, "the same in the decoder, coarsest first", at_least(1));
    visit("shifted_round", shifted_round,
          "the last half chunk of a shifted layer is read with the first one; else each by itself, by a "
          "second, smaller scan");
    visit("convolution", convolution, "a depthwise convolution beside each layer");
    visit("excitation", excitation, "squeeze and excitation behind both");
    visit("selection", selection, "a selective kernel sums both; else they are added");
  }
};

/// The mixer of tokens (B, Y, X, width).
std::shared_ptr<Layer> mixer(const AspLayerSettings& s, int64_t step, int64_t width) {
  if (s.scan == "mamba")
    return std::make_shared<Mamba>(MambaSettings{.width = width, .conv_kernel = s.conv_kernel, .dims = 2});
  return std::make_shared<SS2D>(
      Ss2dSettings{.width = width, .conv_kernel = s.conv_kernel, .walks = s.scan, .step = step});
}

/// Squeeze and excitation ("BiAttn"): x times what two layers make of the means of its normed tokens.
/// Prefixes "norm", "global_reduce", "channel_select".
class Excitation : public Layer {
 public:
  explicit Excitation(int64_t channels)
      : norm_(register_module("norm", std::make_shared<LayerNorm>(channels))),
        reduce_(register_module("global_reduce", std::make_shared<Linear>(channels, channels / 8))),
        select_(register_module("channel_select", std::make_shared<Linear>(channels / 8, channels))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor means = norm_->forward(x.movedim(1, -1)).mean({1, 2});
    const torch::Tensor gate =
        select_->run(reduce_->run(means, {Activation::gelu, {}}), {Activation::sigmoid, {}});
    return x * gate.unsqueeze(-1).unsqueeze(-1);
  }

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Linear> reduce_, select_;
};

/// Selective kernel of two branches, without norm and activation between ("SKAttention"). Prefixes "fc",
/// "fcs".
class Selection : public Module {
 public:
  explicit Selection(int64_t channels, int64_t reduction = 2) {
    const int64_t between = std::max<int64_t>(32, channels / reduction);
    fc_ = register_module("fc", std::make_shared<Linear>(channels, between));
    for (int i = 0; i < 2; ++i) fcs_.push_back(std::make_shared<Linear>(between, channels));
    register_list(*this, "fcs", fcs_);
  }
  torch::Tensor forward(const torch::Tensor& a, const torch::Tensor& b) {
    const torch::Tensor means = fc_->forward((a + b).mean({2, 3}));
    return selected({a, b}, {fcs_[0]->forward(means), fcs_[1]->forward(means)});
  }

 private:
  std::shared_ptr<Linear> fc_;
  std::vector<std::shared_ptr<Linear>> fcs_;
};

struct AspLayerPlace {
  int64_t in = 16, out = 16;
  int64_t step = 2;
  bool shifted = false;
};

/// A PVM layer of that mixer and, beside it, depthwise convolution, norm, GELU, 1x1; excitation of both;
/// their selected sum. Prefixes as PvmLayer, "CNNlayer", "SE", "SK".
class AspLayer : public PvmLayer {
 public:
  AspLayer(const AspLayerSettings& s, const AspLayerPlace& at)
      : PvmLayer({.in = at.in,
                  .out = at.out,
                  .cut = !at.shifted       ? PvmCut::even
                         : s.shifted_round ? PvmCut::shifted
                                           : PvmCut::halves,
                  .mixer = [&](int64_t width) { return mixer(s, at.step, width); }}) {
    if (s.convolution)
      conv_ = register_module("CNNlayer", std::make_shared<torch::nn::Module>())
                  ->register_module("conv_branch",
                                    sequence({depthwise(2, at.in, 3), std::make_shared<BatchNorm>(at.in),
                                              activation(Activation::gelu), conv(2, at.in, at.out, 1)}));
    if (s.excitation) excitation_ = register_module("SE", std::make_shared<Excitation>(at.out));
    if (s.convolution && s.selection) selection_ = register_module("SK", std::make_shared<Selection>(at.out));
  }
  /// x (B, in, Y, X) -> (B, out, Y, X)
  torch::Tensor forward(const torch::Tensor& x) override {
    const auto excited = [&](const torch::Tensor& y) { return excitation_ ? excitation_->forward(y) : y; };
    const torch::Tensor scanned = excited(PvmLayer::forward(x));
    if (!conv_) return scanned;
    const torch::Tensor convolved = excited(conv_->forward(x));
    return selection_ ? selection_->forward(convolved, scanned) : scanned + convolved;
  }

 private:
  std::shared_ptr<Sequence> conv_;
  std::shared_ptr<Excitation> excitation_;
  std::shared_ptr<Selection> selection_;
};

std::shared_ptr<Network> make(const AspVmunetSettings& s) {
  for (const auto* steps : {&s.encoder_steps, &s.decoder_steps})
    if (steps->size() != 5)
      throw UsageError(concat("encoder_steps, decoder_steps: expected 5 numbers each, got ", steps->size()));
  return std::make_shared<BridgedUnet>(s, [&](size_t scale, int64_t in, int64_t out, bool decoder) {
    if (scale == 0) return sequence({conv(2, in, out, 3), conv(2, out, out, 3)});
    const int64_t step = decoder ? s.decoder_steps[5 - scale] : s.encoder_steps[scale - 1];
    auto layers = sequence({});
    for (int i = 0; i < (scale == kDeepScale && !decoder ? 6 : 2); ++i) {
      AspLayerSettings layer = s;
      if (i == 2 || i == 4) layer.excitation = false;  // as they have it
      layers->push_back(
          std::make_shared<AspLayer>(layer, AspLayerPlace{i == 0 ? in : out, out, step, i % 2 == 1}));
    }
    return layers;
  });
}

/// Walks by the names of the official class.
std::string walks_named(const std::string& forward_type) {
  if (forward_type == "v0") return "cross";
  if (forward_type == "v1") return "raster";
  if (forward_type == "v5") return "atrous";
  if (forward_type == "v6") return "atrous_cross";
  throw UsageError("forward_type: expected v0, v1, v5 or v6, got " + forward_type);
}

AspLayerSettings layer_arguments(const Json& a) {
  AspLayerSettings s;
  s.conv_kernel = argument<int64_t>(a, "d_conv", 3);
  s.scan = walks_named(argument<std::string>(a, "forward_type", "v1"));
  if (argument(a, "if_ss2d", true))
    s.conv_kernel -= 1 - s.conv_kernel % 2;  // an even one is lowered there
  else
    s.scan = "mamba";
  s.shifted_round = argument(a, "if_shifted_round", false);
  s.convolution = argument(a, "if_CNN", false);
  s.excitation = argument(a, "if_SE", false);
  s.selection = argument(a, "if_SK", false);
  return s;
}

/// One step a scale out of one a layer.
std::vector<int64_t> steps_of(const Json& a, const char* name) {
  std::vector<int64_t> steps;
  for (const auto& layers : argument(a, name, std::vector<std::vector<int64_t>>(5, {2}))) {
    for (const int64_t step : layers)
      if (step != layers.at(0))
        throw UsageError(concat(name, ": expected one step for all layers of a scale"));
    steps.push_back(layers.at(0));
  }
  return steps;
}

Json official_settings(const Json& a) {
  AspVmunetSettings s;
  static_cast<AspLayerSettings&>(s) = layer_arguments(a);
  s.widths = {8, 16, 24, 32, 48, 64};
  read_bridged_arguments(a, s);
  s.encoder_steps = steps_of(a, "encoder_atrous_step");
  s.decoder_steps = steps_of(a, "decoder_atrous_step");
  return to_json(s);
}

torch::Tensor sigmoid(const torch::Tensor& scores) { return scores.sigmoid(); }

/// The first convolution of the branch stands in the state_dict twice.
std::string our_name(const std::string& official) {
  const std::string twice = "CNNlayer.conv.";
  const size_t at = official.find(twice);
  return at == std::string::npos ? official
                                 : std::string(official).replace(at, twice.size(), "CNNlayer.conv_branch.0.");
}

template <bool shifted>
std::shared_ptr<torch::nn::Module> official_layer(const Json& a) {
  return std::make_shared<AspLayer>(
      layer_arguments(a),
      AspLayerPlace{a.at("input_dim"), a.at("output_dim"), argument<int64_t>(a, "atrous_step", 2), shifted});
}
std::shared_ptr<torch::nn::Module> official_mixer(const Json& a) {
  return mixer(layer_arguments(a), argument<int64_t>(a, "atrous_step", 2), a.at("d_model"));
}
/// The official class takes the tokens of a square as a sequence, too.
torch::Tensor run_mixer(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  const torch::Tensor& x = inputs.at("x");
  auto& layer = dynamic_cast<Layer&>(module);
  if (x.dim() == 4) return layer.forward(x);
  const auto edge = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(x.size(1)))));
  return layer.forward(x.view({x.size(0), edge, edge, x.size(2)})).flatten(1, 2);
}
std::shared_ptr<torch::nn::Module> official_excitation(const Json& a) {
  return std::make_shared<Excitation>(a.at("in_channels").get<int64_t>());
}
std::shared_ptr<torch::nn::Module> official_selection(const Json& a) {
  return std::make_shared<Selection>(a.at("channel"), argument<int64_t>(a, "reduction", 2));
}
torch::Tensor run_selection(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<Selection&>(module).forward(inputs.at("x_conv"), inputs.at("x_mamba"));
}

constexpr const char* kRepository = "BaoBao0926/ASP-VMUNet";

}  // namespace

NetworkEntry asp_vmunet_entry() {
  return hybrid_entry<AspVmunetSettings>(
      {.name = "asp_vmunet",
       .dims = {2},
       .source = "Bao et al.: ASP-VMUNet: Atrous Shifted Parallel Vision Mamba U-Net for Skin Lesion "
                 "Segmentation, 2025; github.com/BaoBao0926/ASP-VMUNet",
       .summary = "UltraLight VM-UNet's frame with scans over sub-grids, shifted chunks of channels and "
                  "convolutions beside them",
       .parameters = 5'157'751,
       .small = R"({"classes": 3, "widths": [8, 8, 8, 8, 8, 16]})",
       .small_edge = 64,
       .official = {{kRepository, "atrous_ULPSR_basev3_CNN", official_settings, sigmoid, our_name}},
       .blocks = {{kRepository, {"PVMLayer"}, official_layer<false>, nullptr, our_name},
                  {kRepository, {"PVMLayer_shifted"}, official_layer<true>, nullptr, our_name},
                  {kRepository, {"atrous_SS2D"}, official_mixer, run_mixer},
                  {kRepository, {"BiAttn"}, official_excitation},
                  {kRepository, {"SKAttention"}, official_selection, run_selection}}},
      [](const AspVmunetSettings& s) { return make(s); });
}

}  // namespace mambaseg
