// KM-UNet: KAN Mamba UNet for medical image segmentation (Zhang 2025), after its public code, whose module
// names it keeps: U-KAN, a U-Net whose two coarse scales are layers of learnt splines (KAN), with SS2D and a
// cross-spatial attention (EMA) on the skips and behind the decoder's stages. The class of the authors' own
// training records has no EMA (`ema`); with the mixers "cbam" it is the repository's U-KAN, without Mamba.
//
// As there, SS2D replaces the features: no norm before it and no residual around it. 1.27 of 7.01 million
// parameters of the published class reach no score (the decoder's KAN, CBAM); kept where `unused` says so,
// files of weights load with and without.

#include "mambaseg/nets/blocks/double_conv.h"
#include "mambaseg/nets/blocks/kan.h"
#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/blocks/unetr_blocks.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/nets/model/weights.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

constexpr size_t kScales = 5, kConvScales = 3;
constexpr int64_t kParts = 8;       // of the channels in EMA
constexpr int64_t kReduction = 16;  // in CBAM

struct KmUnetSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  std::vector<int64_t> widths{16, 32, 128, 160, 256};
  std::string mixers = "ss2d";
  bool ema = true;
  int64_t states = 16;
  double drop_path = 0;
  bool unused = true;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the five scales, 1/2 of the resolution first; multiples of 8",
          at_least(kParts));
    visit("mixers", mixers,
          "ss2d: SS2D (and EMA) on skips and in the decoder; cbam: CBAM on the skips, KAN in the decoder "
          "(U-KAN)",
          one_of({"ss2d", "cbam"}));
    visit("ema", ema, "cross-spatial attention behind each SS2D");
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("drop_path", drop_path,
          "training: half of it is the chance that the branch of a coarsest KAN block is left out for a "
          "sample, "
          "as published",
          between(0, 1));
    visit("unused", unused, "keep the parameters of the official class that nothing reads");
  }
};

/// A depthwise convolution, batch norm and ReLU, on tokens. Prefixes "dwconv", "bn".
class TokenDepthwise : public Layer {
 public:
  explicit TokenDepthwise(int64_t width)
      : dwconv_(register_module("dwconv", depthwise(2, width, 3))),
        bn_(register_module("bn", std::make_shared<BatchNorm>(width))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return normed(*dwconv_, *bn_, x.movedim(-1, 1), {Activation::relu, {}}).movedim(1, -1);
  }

 private:
  std::shared_ptr<Convolution> dwconv_;
  std::shared_ptr<BatchNorm> bn_;
};

/// x + path(layers(norm(x))), three times a KAN layer and a depthwise convolution. Prefixes "norm2",
/// "layer.fc1", "layer.dwconv_1", ...
class KanBlock : public Layer {
 public:
  explicit KanBlock(int64_t width, double drop_path = 0)
      : norm_(register_module("norm2", std::make_shared<LayerNorm>(width))),
        path_(register_module("drop_path", std::make_shared<DropPath>(drop_path))) {
    const auto layer = register_module("layer", std::make_shared<torch::nn::Module>());
    for (const char* number : {"1", "2", "3"}) {
      layers_.push_back(
          layer->register_module(std::string("fc") + number, std::make_shared<KanLinear>(width, width)));
      layers_.push_back(
          layer->register_module(std::string("dwconv_") + number, std::make_shared<TokenDepthwise>(width)));
    }
  }
  /// x (B, Y, X, width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor y = norm_->forward(x);
    for (const auto& layer : layers_) y = layer->forward(y);
    return x + path_->forward(y);
  }

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<DropPath> path_;
  std::vector<std::shared_ptr<Layer>> layers_;
};

/// Efficient multi-scale attention (EMA, Ouyang et al. 2023): eight parts of the channels, each gated by what
/// a pointwise convolution of its profiles along the axes and a 3x3 convolution find in common. Prefixes
/// "gn", "conv1x1", "conv3x3".
class CrossSpatialAttention : public Layer {
 public:
  explicit CrossSpatialAttention(int64_t width)
      : norm_(register_module("gn", std::make_shared<InstanceNorm>(width / kParts))),
        conv1_(register_module("conv1x1", conv(2, width / kParts, width / kParts, 1))),
        conv3_(register_module("conv3x3", conv(2, width / kParts, width / kParts, 3))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const int64_t Y = x.size(2), X = x.size(3);
    const torch::Tensor g = x.contiguous().view({x.size(0) * kParts, -1, Y, X});
    const torch::Tensor profiles =
        conv1_->run(torch::cat({g.mean(3, true), g.mean(2, true).mT()}, 2), {Activation::sigmoid, {}});
    const torch::Tensor gated = g * profiles.narrow(2, 0, Y) * profiles.narrow(2, Y, X).mT();
    const auto wide = torch::promote_types(x.scalar_type(), torch::kFloat);
    const torch::Tensor a = norm_->run(gated, {}).to(wide), b = conv3_->forward(g).to(wide);
    const torch::Tensor common =
        torch::matmul(shares(a), b.flatten(2)) + torch::matmul(shares(b), a.flatten(2));
    return (g * torch::sigmoid(common).to(x.scalar_type()).view({-1, 1, Y, X})).view(x.sizes());
  }

 private:
  /// Softmax of the channels' means: (B, 1, C).
  static torch::Tensor shares(const torch::Tensor& x) {
    return torch::softmax(x.mean({2, 3}), 1).unsqueeze(1);
  }
  std::shared_ptr<InstanceNorm> norm_;
  std::shared_ptr<Convolution> conv1_, conv3_;
};

/// Convolutional block attention (CBAM, Woo et al. 2018) as this code writes it: beside ConvBlockAttention
/// without biases in the MLP, with a bias in place of batch norm, the mean before the maximum. Prefixes
/// "channel_attention.shared_MLP", "spatial_attention.conv2d".
class BlockAttention : public Layer {
 public:
  explicit BlockAttention(int64_t width)
      : mlp_(sequence({conv(2, width, std::max<int64_t>(1, width / kReduction), 1, {.bias = false}), relu(),
                       conv(2, std::max<int64_t>(1, width / kReduction), width, 1, {.bias = false})})),
        conv_(conv(2, 2, 1, 7)) {
    register_module("channel_attention", std::make_shared<torch::nn::Module>())
        ->register_module("shared_MLP", mlp_);
    register_module("spatial_attention", std::make_shared<torch::nn::Module>())
        ->register_module("conv2d", conv_);
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor y =
        x * torch::sigmoid(mlp_->forward(x.mean({2, 3}, true)) + mlp_->forward(x.amax({2, 3}, true)));
    return y * conv_->run(channel_mean_and_max(y), {Activation::sigmoid, {}});
  }

 private:
  std::shared_ptr<Sequence> mlp_;
  std::shared_ptr<Convolution> conv_;
};

class KmUnet : public Network, public ComputesEntries {
 public:
  explicit KmUnet(const KmUnetSettings& s);
  Extent size_multiples() const override { return cube(2, int64_t{1} << kScales); }
  /// What nothing reads where the mixers are SS2D.
  bool check_computed(const std::string& name, const torch::Tensor&) const override {
    return scans_ && (name.starts_with("dblock") || name.starts_with("dnorm") || name.starts_with("cbam"));
  }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  /// What a scale has to itself: modules of the official class under names of their own.
  struct KanStage {
    std::shared_ptr<Convolution> shrink;  ///< of the encoder
    std::shared_ptr<LayerNorm> shrunk_norm;
    std::shared_ptr<KanBlock> block;
    std::shared_ptr<LayerNorm> norm;
    torch::Tensor forward(const torch::Tensor& x_BCYX) const;
  };
  KanStage kan_stage(const std::string& block, const std::string& norm, int64_t width, double drop_path);
  std::shared_ptr<Layer> mixer(const std::string& suffix, const std::string& ema, int64_t width);

  KmUnetSettings settings_;
  bool scans_;
  std::vector<std::shared_ptr<Layer>> encoder_, decoder_;  ///< in the order of their use
  std::vector<std::shared_ptr<Layer>> skips_;              ///< on those of the convolutions' scales
  std::vector<KanStage> coarse_, decoder_kan_;             ///< scales 4 and 5; behind decoder 1 and 2
  std::vector<std::shared_ptr<Layer>> behind_;             ///< decoder's stages 1 to 4, or none
  std::shared_ptr<Convolution> final_;
};

/// SS2D and EMA, each on maps. Not a module: its parts stand in the network.
class ScanAndAttention : public Layer {
 public:
  ScanAndAttention(std::shared_ptr<SS2D> scan, std::shared_ptr<CrossSpatialAttention> ema)
      : scan_(std::move(scan)), ema_(std::move(ema)) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor y = scan_->forward(x.permute({0, 2, 3, 1}).contiguous()).permute({0, 3, 1, 2});
    return ema_ ? ema_->forward(y) : y;
  }

 private:
  std::shared_ptr<SS2D> scan_;
  std::shared_ptr<CrossSpatialAttention> ema_;
};

torch::Tensor KmUnet::KanStage::forward(const torch::Tensor& x) const {
  torch::Tensor tokens = (shrink ? shrink->forward(x) : x).permute({0, 2, 3, 1});
  if (shrunk_norm) tokens = shrunk_norm->forward(tokens);
  return norm->forward(block->forward(tokens.contiguous())).permute({0, 3, 1, 2});
}

KmUnet::KanStage KmUnet::kan_stage(const std::string& block, const std::string& norm, int64_t width,
                                   double drop_path) {
  KanStage stage;
  stage.block = register_module(block, std::make_shared<torch::nn::Module>())
                    ->register_module("0", std::make_shared<KanBlock>(width, drop_path));
  stage.norm = register_module(norm, std::make_shared<LayerNorm>(width));
  return stage;
}

std::shared_ptr<Layer> KmUnet::mixer(const std::string& suffix, const std::string& ema, int64_t width) {
  const auto scan = register_module(
      "ss2d_" + suffix, std::make_shared<SS2D>(Ss2dSettings{.width = width, .states = settings_.states}));
  return std::make_shared<ScanAndAttention>(
      scan,
      settings_.ema ? register_module("ema" + ema, std::make_shared<CrossSpatialAttention>(width)) : nullptr);
}

KmUnet::KmUnet(const KmUnetSettings& s) : settings_(s), scans_(s.mixers == "ss2d") {
  if (s.widths.size() != kScales)
    throw UsageError(concat("widths: expected 5 numbers, got ", s.widths.size()));
  for (const int64_t width : s.widths)
    if (width % kParts != 0)
      throw UsageError(concat("widths: expected multiples of ", kParts, ", got ", width));
  const std::vector<int64_t>& w = s.widths;
  const double chances[] = {0, s.drop_path / 2};  // the official code spreads them over three blocks
  for (size_t i = 0; i < kConvScales; ++i) {
    const std::string number = std::to_string(i + 1);
    encoder_.push_back(
        register_module("encoder" + number, std::make_shared<MonaiConvolution>(double_conv(
                                                i == 0 ? s.in_channels : w[i - 1], w[i], {.bias = true}))));
    if (scans_) skips_.push_back(mixer(number, number, w[i]));
    if (scans_ && !s.unused) continue;
    const auto attention =
        register_module(i == 0 ? "cbam" : "cbam" + std::to_string(i), std::make_shared<BlockAttention>(w[i]));
    if (!scans_) skips_.push_back(attention);
  }
  for (size_t i = kConvScales; i < kScales; ++i) {
    const size_t k = i - kConvScales;
    const std::string here = std::to_string(k + 1), scale = std::to_string(i);
    coarse_.push_back(kan_stage("block" + here, "norm" + scale, w[i], chances[k]));
    const auto embed = register_module("patch_embed" + scale, std::make_shared<torch::nn::Module>());
    coarse_.back().shrink =
        embed->register_module("proj", conv(2, w[i - 1], w[i], 3, {.stride = cube(2, 2)}));
    coarse_.back().shrunk_norm = embed->register_module("norm", std::make_shared<LayerNorm>(w[i]));
    if (scans_ && !s.unused) continue;
    const KanStage stage = kan_stage("dblock" + here, "dnorm" + scale, w[kConvScales - k], chances[k]);
    if (!scans_) decoder_kan_.push_back(stage);
  }
  for (size_t i = kScales; i > 0; --i) {
    const std::string number = std::to_string(kScales + 1 - i);
    const int64_t in = w[i - 1], out = i > 1 ? w[i - 2] : w[0];
    decoder_.push_back(register_module("decoder" + number, std::make_shared<MonaiConvolution>(double_conv(
                                                               in, out, {.middle = in, .bias = true}))));
    if (scans_ && i > 1) behind_.push_back(mixer("decoder" + number, "_decoder" + number, out));
  }
  final_ = register_module("final", conv(2, w[0], s.classes, 1));
}

std::vector<torch::Tensor> KmUnet::scores(const torch::Tensor& image) {
  std::vector<torch::Tensor> skips;
  torch::Tensor x = image;
  for (size_t i = 0; i < kConvScales; ++i) {
    x = HalvingMaxPool().forward(encoder_[i]->forward(x));
    skips.push_back(skips_[i]->forward(x));
  }
  for (const KanStage& stage : coarse_) skips.push_back(x = stage.forward(x));
  skips.pop_back();
  for (size_t i = 0; i < decoder_.size(); ++i) {
    x = linear_upsampled(decoder_[i]->forward(x), 2);
    if (skips.empty()) break;
    x = x + skips.back();
    skips.pop_back();
    if (!behind_.empty()) x = behind_[i]->forward(x);
    if (i < decoder_kan_.size()) x = decoder_kan_[i].forward(x);
  }
  return {final_->forward(x)};
}

Json settings_of(const Json& a, const char* mixers) {
  KmUnetSettings s;
  const auto dims = argument(a, "embed_dims", std::vector<int64_t>{256, 320, 512});
  s.classes = a.at("num_classes");
  s.widths = {dims[0] / 8, dims[0] / 4, dims[0], dims[1], dims[2]};
  s.drop_path = argument(a, "drop_path_rate", 0.0);
  s.mixers = mixers;
  return to_json(s);
}
Json km_unet(const Json& a) { return settings_of(a, "ss2d"); }
Json u_kan(const Json& a) { return settings_of(a, "cbam"); }

using Block = std::shared_ptr<torch::nn::Module>;

Block official_linear(const Json& a) {
  return std::make_shared<KanLinear>(a.at("in_features"), a.at("out_features"),
                                     argument<int64_t>(a, "grid_size", 5),
                                     argument<int64_t>(a, "spline_order", 3));
}
Block official_block(const Json& a) { return std::make_shared<KanBlock>(a.at("dim").get<int64_t>()); }
Block official_attention(const Json& a) {
  return std::make_shared<CrossSpatialAttention>(a.at("channels").get<int64_t>());
}

/// The official class takes a sequence, of five rows in the files.
torch::Tensor run_block(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  const torch::Tensor& x = inputs.at("x");
  return dynamic_cast<Layer&>(module).forward(x.unflatten(1, {5, -1})).flatten(1, 2);
}

constexpr const char* kRepository = "2760613195/KM_UNet";

}  // namespace

NetworkEntry km_unet_entry() {
  return hybrid_entry<KmUnetSettings>(
      {.name = "km_unet",
       .dims = {2},
       .source = "Zhang: KM-UNet: KAN Mamba UNet for medical image segmentation, 2025; "
                 "github.com/2760613195/KM_UNet",
       .summary =
           "U-Net with coarse scales of learnt splines (KAN), SS2D and attention on skips and in the decoder",
       .parameters = 7'012'554,
       .small = R"({"classes": 3, "widths": [8, 8, 16, 16, 24], "states": 2, "unused": false})",
       .small_edge = 64,
       .official = {{kRepository, "KM_UNet", km_unet}, {kRepository, "UKAN", u_kan}},
       .blocks = {{kRepository, {"KANLinear"}, official_linear},
                  {kRepository, {"KANBlock"}, official_block, run_block},
                  {kRepository, {"EMA"}, official_attention}}},
      [](const KmUnetSettings& s) { return std::make_shared<KmUnet>(s); });
}

}  // namespace mambaseg
