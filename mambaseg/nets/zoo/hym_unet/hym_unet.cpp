// HyM-UNet: Synergizing Local Texture and Global Context via Hybrid CNN-Mamba Architecture (arXiv
// 2511.17988). Two stages of residual convolutions, two of selective scan blocks, and skips that the coarser
// decoder features gate. No code is published and the text lost its formulas; widths, depths and the patch
// are those of VM-UNet, which the paper compares with. Where the text allows several readings, the first of a
// setting's words is the literal one:
//   gate   equation 7 names a sigmoid and calls its result a spatial map
//   walks  the text lists corner to opposite corner; VMamba's rows and columns are what "SS2D" means
//   elsewhere patch  the text has four encoder scales but only three skips fit to patches of 4; with 2 the
//   scales are
//          1/2 .. 1/16

#include <utility>

#include <torch/nn/init.h>

#include "mambaseg/nets/blocks/double_conv.h"
#include "mambaseg/nets/blocks/patch2d.h"
#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

constexpr size_t kScales = 4;
constexpr size_t kConvScales = 2;  // stages of convolutions; the others are of selective scans

struct HymUnetSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  std::vector<int64_t> widths{96, 192, 384, 768};
  std::vector<int64_t> depths{2, 2, 2, 2};
  int64_t patch = 4;
  int64_t states = 16;
  std::string gate = "spatial";
  std::string walks = "cross";
  double drop_path = 0.2;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the four scales; the last two are each twice the one before",
          at_least(2));
    visit("depths", depths, "blocks in the four stages of the encoder", at_least(1));
    visit("patch", patch, "edge of the patches in pixels, 2 or 4", between(2, 4));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("gate", gate,
          "how decoder features gate a skip; spatial: one map, sigmoid of a 1x1 convolution; channel: a map "
          "for "
          "each channel; concat: one map, from both features; additive: one map, as in Attention U-Net",
          one_of({"spatial", "channel", "concat", "additive"}));
    visit("walks", walks,
          "walks of the selective scan; cross: rows and columns (VMamba); mirrored: rows from each corner",
          one_of({"cross", "mirrored"}));
    visit(
        "drop_path", drop_path,
        "training: chance that the deepest scan block's branch is left out for a sample; falls to 0 towards "
        "the first",
        between(0, 1));
  }
};

void check(const HymUnetSettings& s) {
  if (s.widths.size() != kScales || s.depths.size() != kScales)
    throw UsageError(
        concat("widths, depths: expected 4 numbers each, got ", s.widths.size(), " and ", s.depths.size()));
  for (size_t i = kConvScales; i < kScales; ++i)
    if (s.widths[i] != 2 * s.widths[i - 1])
      throw UsageError(concat("widths: expected ", s.widths[i], " to be twice ", s.widths[i - 1],
                              " (patch merging doubles)"));
  if (s.patch != 2 && s.patch != 4) throw UsageError(concat("patch: expected 2 or 4, got ", s.patch));
}

std::shared_ptr<Convolution> conv1(int64_t in, int64_t out) { return conv(2, in, out, 1); }

torch::Tensor tokens_of(const torch::Tensor& x_BCYX) { return x_BCYX.permute({0, 2, 3, 1}); }
torch::Tensor maps_of(const torch::Tensor& x_BYXC) { return x_BYXC.permute({0, 3, 1, 2}); }

/// Equation 5: F(x) + x.
class ResidualConvBlock : public Layer {
 public:
  explicit ResidualConvBlock(int64_t width) : conv_(register_module("conv", double_conv(width, width))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return conv_->forward(x) + x; }

 private:
  std::shared_ptr<Sequence> conv_;
};

/// MGF-Skip, equations 7 to 9: encoder features E, gated by G, plus E, beside the grown decoder features D;
/// then a convolution block.
class GatedSkip : public Module {
 public:
  GatedSkip(int64_t encoder, int64_t decoder, const std::string& gate) : kind_(gate) {
    if (kind_ == "additive") {
      const int64_t inner = encoder / 2;
      const auto projection = [&](int64_t in, int64_t out) {
        return sequence({conv1(in, out), std::make_shared<BatchNorm>(out)});
      };
      from_encoder_ = register_module("from_encoder", projection(encoder, inner));
      from_decoder_ = register_module("from_decoder", projection(decoder, inner));
      psi_ = register_module("psi", projection(inner, 1));
    } else {
      gate_ = register_module(
          "gate", conv1(kind_ == "concat" ? encoder + decoder : decoder, kind_ == "channel" ? encoder : 1));
    }
    conv_ = register_module("conv", double_conv(encoder + decoder, encoder));
  }

  /// e (B, encoder, Y, X), d (B, decoder, Y', X') -> (B, encoder, Y, X)
  torch::Tensor forward(const torch::Tensor& e, const torch::Tensor& coarse) {
    const torch::Tensor d = linear_resized(coarse, spatial_size(e));
    return conv_->forward(torch::cat({e * gate(e, d) + e, d}, 1));
  }

 private:
  torch::Tensor gate(const torch::Tensor& e, const torch::Tensor& d) {
    if (kind_ == "additive")
      return torch::sigmoid(
          psi_->forward(torch::relu(from_encoder_->forward(e) + from_decoder_->forward(d))));
    return torch::sigmoid(gate_->forward(kind_ == "concat" ? torch::cat({e, d}, 1) : d));
  }

  std::string kind_;
  std::shared_ptr<Convolution> gate_;
  std::shared_ptr<Sequence> from_encoder_, from_decoder_, psi_;
  std::shared_ptr<Sequence> conv_;
};

class HymUnet : public Network {
 public:
  explicit HymUnet(const HymUnetSettings& s) : settings_(s) {
    check(s);
    const auto& w = s.widths;
    embed_ = register_module("embed", std::make_shared<PatchEmbed2d>(s.in_channels, w[0], s.patch));
    down_ = register_module("down", conv(2, w[0], w[1], 2, {.stride = {2, 2}, .padding = {0, 0}}));
    for (size_t i = 0; i < kConvScales; ++i) {
      conv_stages_.push_back(std::make_shared<Sequence>());
      for (int64_t b = 0; b < s.depths[i]; ++b)
        conv_stages_[i]->push_back(std::make_shared<ResidualConvBlock>(w[i]));
      register_module("stage" + std::to_string(i + 1), conv_stages_[i]);
    }
    const std::vector<double> drop_path = rising_drop_path(s.depths[2] + s.depths[3], s.drop_path);
    size_t block = 0;
    for (size_t i = kConvScales; i < kScales; ++i) {
      merges_.push_back(
          register_module("merge" + std::to_string(i + 1), std::make_shared<PatchMerging2d>(w[i - 1])));
      scan_stages_.push_back(std::make_shared<Sequence>());
      for (int64_t b = 0; b < s.depths[i]; ++b) {
        Ss2dSettings mixer;
        mixer.width = w[i];
        mixer.states = s.states;
        mixer.walks = s.walks;
        scan_stages_.back()->push_back(std::make_shared<VssBlock2d>(mixer, drop_path[block++]));
      }
      register_module("stage" + std::to_string(i + 1), scan_stages_.back());
    }
    for (size_t i = 0; i + 1 < kScales; ++i)
      skips_.push_back(register_module("skip" + std::to_string(i + 1),
                                       std::make_shared<GatedSkip>(w[i], w[i + 1], s.gate)));
    last_ = register_module("last", double_conv(w[0], w[0] / 2));
    head_ = register_module("head", conv1(w[0] / 2, s.classes));
    initialise();
  }

  Extent size_multiples() const override { return cube(2, settings_.patch << (kScales - 1)); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& input) override {
    std::vector<torch::Tensor> features;
    features.push_back(conv_stages_[0]->forward(maps_of(embed_->forward(input))));
    features.push_back(conv_stages_[1]->forward(down_->forward(features[0])));
    torch::Tensor tokens = tokens_of(features[1]);
    for (size_t i = 0; i < merges_.size(); ++i) {
      tokens = scan_stages_[i]->forward(merges_[i]->forward(tokens));
      features.push_back(maps_of(tokens));
    }
    torch::Tensor x = std::exchange(features.back(), {});
    for (size_t i = kScales - 1; i-- > 0;) x = skips_[i]->forward(std::exchange(features[i], {}), x);
    return {head_->forward(last_->forward(linear_resized(x, spatial_size(input))))};
  }

 private:
  /// Linear layers as in VM-UNet, convolutions after He et al. 2015; the depthwise ones in the scan blocks
  /// keep LibTorch's values, as in VM-UNet.
  void initialise() {
    torch::NoGradGuard no_grad;
    for (const auto& part : modules(/*include_self=*/false)) {
      if (auto* linear = dynamic_cast<Linear*>(part.get())) {
        linear->weight.normal_(0, 0.02);
        if (linear->bias.defined()) linear->bias.zero_();
      } else if (auto* dense = dynamic_cast<Convolution*>(part.get()); dense && dense->groups() == 1) {
        torch::nn::init::kaiming_normal_(dense->weight, 0, torch::kFanIn, torch::kReLU);
        if (dense->bias.defined()) dense->bias.zero_();
      }
    }
  }

  HymUnetSettings settings_;
  std::shared_ptr<PatchEmbed2d> embed_;
  std::shared_ptr<Convolution> down_, head_;
  std::vector<std::shared_ptr<Sequence>> conv_stages_, scan_stages_;
  std::vector<std::shared_ptr<PatchMerging2d>> merges_;
  std::vector<std::shared_ptr<GatedSkip>> skips_;  ///< finest first
  std::shared_ptr<Sequence> last_;
};

}  // namespace

NetworkEntry hym_unet_entry() {
  return hybrid_entry<HymUnetSettings>(
      {.name = "hym_unet",
       .dims = {2},
       .source =
           "HyM-UNet: Synergizing Local Texture and Global Context via Hybrid CNN-Mamba Architecture for "
           "Medical Image Segmentation, arXiv 2511.17988; no code published, rebuilt from the text",
       .summary = "U-Net of convolutions in the fine and selective scans in the coarse stages, with gated "
                  "skips",
       .parameters = 21'556'372,
       .small =
           R"({"classes": 2, "widths": [8, 12, 24, 48], "depths": [1, 2, 1, 2], "states": 4, "drop_path": 0.0})",
       .small_edge = 64},
      [](const HymUnetSettings& s) { return std::make_shared<HymUnet>(s); });
}

}  // namespace mambaseg
