// S-Net: A Novel Shallow Network for Enhanced Detail Retention in Medical Image Segmentation (2025), after
// its public code, whose module names it keeps: no scale below a quarter of the resolution. The stem and the
// first stage of ResNet-34, a bottleneck of selective scans and large depthwise convolutions (GLFF) there,
// and a decoder of convolutions. Unlike there, forward returns scores before the sigmoid; the scores have a
// batch norm behind them, as there. The encoder starts at random, there too.

#include <cmath>

#include "mambaseg/nets/blocks/double_conv.h"
#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/resnet.h"
#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/ops/depthwise_conv.h"
#include "mambaseg/ops/gate.h"

namespace mambaseg {
namespace {

constexpr int64_t kStages = 2, kEncoderBlocks = 3;
constexpr int64_t kTaps[] = {7, 11, 21};  // of the rows and columns of MSFF

/// Of a bottleneck, and the base of those of the network.
struct GlffSettings {
  int64_t width = 64;
  std::vector<int64_t> depths{2, 2, 2, 2};
  int64_t states = 16;
  double drop_path = 0.1;
};

struct SNetSettings : GlffSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("width", width, "channels of every stage", at_least(2));
    visit("depths", depths, "scan blocks of the layers of the bottleneck", at_least(0));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("drop_path", drop_path,
          "training: chance that the last scan block's branches are left out for a sample, and of dropout in "
          "its gated unit; falls to 0 towards the first",
          between(0, 1));
  }
};

/// Convolutional gated linear unit: two projections, a depthwise convolution and SiLU on the first, which
/// gates the second; projection back. Prefixes "fc1", "dwconv.dwconv", "fc2".
class ConvGlu : public Layer {
 public:
  ConvGlu(int64_t width, double dropout)
      : fc1_(register_module("fc1", std::make_shared<Linear>(width, 2 * (2 * width / 3)))),
        fc2_(register_module("fc2", std::make_shared<Linear>(2 * width / 3, width))),
        dropout_(register_module("drop", std::make_shared<Dropout>(dropout))) {
    dwconv_ = register_module("dwconv", std::make_shared<torch::nn::Module>())
                  ->register_module("dwconv", depthwise(2, 2 * width / 3, 3));
  }
  /// x (B, Y, X, width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override {
    const std::vector<torch::Tensor> halves = fc1_->forward(x).chunk(2, -1);
    const torch::Tensor local =
        depthwise_conv(halves[0], dwconv_->weight, dwconv_->bias, {{1, 1}, false, true, {}});
    return dropout_->forward(fc2_->forward(dropout_->forward(gated(halves[1], local, Activation::silu))));
  }

 private:
  std::shared_ptr<Linear> fc1_, fc2_;
  std::shared_ptr<Convolution> dwconv_;
  std::shared_ptr<Dropout> dropout_;
};

/// VSS_ConvG: SS2D, then a gated unit, both on the normed tokens and with residuals.
std::shared_ptr<MixerBlock> scan_block(int64_t width, int64_t states, double drop_path) {
  return std::make_shared<MixerBlock>(MixerBlockSettings{.width = width, .drop_path = drop_path},
                                      std::make_shared<SS2D>(Ss2dSettings{.width = width, .states = states}),
                                      std::make_shared<ConvGlu>(width, drop_path));
}

/// Multi-scale feature fusion (MSFF): a depthwise convolution of edge 5 and, behind it, rows and columns of
/// 7, 11 and 21 taps, summed; 1x1, norm, the sum with the input, SiLU. Prefixes "conv0", "conv0_1", ...,
/// "bn".
class MultiScaleFusion : public Layer {
 public:
  explicit MultiScaleFusion(int64_t channels)
      : square_(register_module("conv0", depthwise(2, channels, 5))),
        fuse_(register_module("conv12", conv(2, channels, channels, 1))),
        bn_(register_module("bn", std::make_shared<BatchNorm>(channels))) {
    const ConvolutionSettings each{.groups = channels};
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t taps = kTaps[i];
      const std::string name = "conv" + std::to_string(i);
      rows_.push_back(register_module(
          name + "_1", std::make_shared<Convolution>(channels, channels, Extent{1, taps}, each)));
      columns_.push_back(register_module(
          name + "_2", std::make_shared<Convolution>(channels, channels, Extent{taps, 1}, each)));
    }
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor local = square_->forward(x);
    torch::Tensor sum = local;
    for (size_t i = 0; i < rows_.size(); ++i) sum = sum + columns_[i]->forward(rows_[i]->forward(local));
    return normed(*fuse_, *bn_, sum, {Activation::silu, x});
  }

 private:
  std::shared_ptr<Convolution> square_, fuse_;
  std::vector<std::shared_ptr<Convolution>> rows_, columns_;
  std::shared_ptr<BatchNorm> bn_;
};

/// Global-local feature fusion (GLFF): layers of scan blocks, behind each but the last MSFF, each layer with
/// a residual; a norm at the end. Prefixes "layers.0.blocks.0", ..., "layers.0.conv_layer", "norm".
class GlobalLocalFusion : public Layer {
 public:
  explicit GlobalLocalFusion(const GlffSettings& s) {
    int64_t blocks = 0;
    for (const int64_t depth : s.depths) blocks += depth;
    const auto chances = by_scale(rising_drop_path(blocks, s.drop_path), s.depths);
    std::vector<std::shared_ptr<torch::nn::Module>> holders;
    for (size_t i = 0; i < s.depths.size(); ++i) {
      holders.push_back(std::make_shared<torch::nn::Module>());
      stages_.push_back({holders[i]->register_module("blocks", std::make_shared<Sequence>()), nullptr});
      for (const double chance : chances[i])
        stages_[i].blocks->push_back(scan_block(s.width, s.states, chance));
      if (i + 1 < s.depths.size())
        stages_[i].fusion =
            holders[i]->register_module("conv_layer", std::make_shared<MultiScaleFusion>(s.width));
    }
    register_list(*this, "layers", holders);
    norm_ = register_module("norm", std::make_shared<LayerNorm>(s.width));
  }
  /// x (B, width, Y, X) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BCYX) override {
    torch::Tensor x = x_BCYX;
    for (const Stage& stage : stages_) {
      const torch::Tensor tokens = x.movedim(1, -1).contiguous();
      const torch::Tensor y = stage.blocks->forward(tokens).movedim(-1, 1);
      x = x + (stage.fusion ? stage.fusion->forward(y) : y);
    }
    return norm_->forward(x.movedim(1, -1)).movedim(-1, 1);
  }

 private:
  struct Stage {
    std::shared_ptr<Sequence> blocks;
    std::shared_ptr<MultiScaleFusion> fusion;  ///< or null
  };
  std::vector<Stage> stages_;
  std::shared_ptr<LayerNorm> norm_;
};

/// Two convolutions of `in` and `out` channels; with a residual two of `out`. Prefix "conv".
class ConvUnit : public Layer {
 public:
  ConvUnit(int64_t in, int64_t out)
      : residual_(in == out),
        conv_(register_module("conv", double_conv(in, out, {.middle = in, .last_activation = !residual_}))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return residual_ ? torch::relu(conv_->forward(x) + x) : conv_->forward(x);
  }

 private:
  bool residual_;
  std::shared_ptr<Sequence> conv_;
};

class SNet : public Network {
 public:
  explicit SNet(const SNetSettings& s) {
    const int64_t w = s.width;
    const auto stage = std::make_shared<Sequence>();
    for (int64_t i = 0; i < kEncoderBlocks; ++i) stage->push_back(std::make_shared<ResnetBasicBlock>(w, w));
    const auto norm = [](int64_t channels) { return std::make_shared<BatchNorm>(channels); };
    stem_ = register_module(
        "encoder1",
        sequence({conv(2, s.in_channels, w, 7, {.stride = {2, 2}, .bias = false}), norm(w), relu()}));
    encoder_ = register_module("encoder2", sequence({std::make_shared<ResnetPool>(), stage}));
    bottleneck_ = register_module("GLFFs", std::make_shared<GlobalLocalFusion>(s));
    for (int64_t i = 0; i < kStages; ++i)
      decoder_.push_back(
          register_module("decoder" + std::to_string(i + 1),
                          sequence({std::make_shared<ConvUnit>(2 * w, w), std::make_shared<ConvUnit>(w, w),
                                    std::make_shared<ConvUnit>(w, w)})));
    final_ = register_module("final", sequence({conv(2, w, s.classes, 1, {.bias = false}), norm(s.classes)}));
    start_as_vmamba(*this);
    const torch::NoGradGuard no_grad;
    for (const auto& part : modules(/*include_self=*/false))
      if (auto* dense = dynamic_cast<Convolution*>(part.get())) {
        const int64_t fan_in = dense->weight.numel() / dense->weight.size(0);
        dense->weight.normal_(0, std::sqrt(2 / static_cast<double>(fan_in)));
      }
  }
  Extent size_multiples() const override { return cube(2, int64_t{1} << kStages); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    const torch::Tensor half = stem_->forward(x), quarter = encoder_->forward(half);
    const torch::Tensor deep = torch::cat({bottleneck_->forward(quarter), quarter}, 1);
    const torch::Tensor grown = linear_upsampled(decoder_[0]->forward(deep), 2);
    return {final_->forward(linear_upsampled(decoder_[1]->forward(torch::cat({grown, half}, 1)), 2))};
  }

 private:
  std::shared_ptr<Sequence> stem_, encoder_, final_;
  std::shared_ptr<GlobalLocalFusion> bottleneck_;
  std::vector<std::shared_ptr<Sequence>> decoder_;  ///< coarsest first
};

Json official_settings(const Json& a) {
  SNetSettings s;
  s.classes = argument<int64_t>(a, "num_classes", 1);  // in_cha is ignored there
  return to_json(s);
}

torch::Tensor sigmoid(const torch::Tensor& scores) { return scores.sigmoid(); }

std::shared_ptr<torch::nn::Module> official_glffs(const Json& a) {
  GlffSettings s;
  s.width = a.at("dims").at(0);
  s.depths = a.at("depths").get<std::vector<int64_t>>();
  return std::make_shared<GlobalLocalFusion>(s);
}
std::shared_ptr<torch::nn::Module> official_scan_block(const Json& a) {
  return scan_block(a.at("hidden_dim"), argument<int64_t>(a, "d_state", 16), 0);
}
std::shared_ptr<torch::nn::Module> official_fusion(const Json& a) {
  return std::make_shared<MultiScaleFusion>(a.at("dim").get<int64_t>());
}

constexpr const char* kRepository = "qinghua0715/S-Net";

}  // namespace

NetworkEntry s_net_entry() {
  return hybrid_entry<SNetSettings>(
      {.name = "s_net",
       .dims = {2},
       .source =
           "S-Net: A Novel Shallow Network for Enhanced Detail Retention in Medical Image Segmentation, "
           "2025; github.com/qinghua0715/S-Net",
       .summary = "no scale below a quarter of the resolution: a residual stage, selective scans and large "
                  "depthwise convolutions there, convolutions on the way up",
       .parameters = 1'522'306,
       .small = R"({"classes": 3, "width": 8, "depths": [1, 1], "states": 4, "drop_path": 0.0})",
       .small_edge = 16,
       .official = {{kRepository, "S_Net", official_settings, sigmoid}},
       .blocks = {{kRepository, {"GLFFs"}, official_glffs},
                  {kRepository, {"VSS_ConvG"}, official_scan_block},
                  {kRepository, {"MSFF"}, official_fusion}}},
      [](const SNetSettings& s) { return std::make_shared<SNet>(s); });
}

}  // namespace mambaseg
