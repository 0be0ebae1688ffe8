// InceptionMamba: Efficient Multi-Stage Feature Enhancement with Selective State Space Model for 2D Medical
// Image Segmentation (2025, arXiv 2506.12208), after its public code, whose module names it keeps: three
// stages of ResNet-50, whose maps are refined and joined at 1/16; there and on the way up, inception
// depthwise convolutions, a share of whose channels a Mamba reads. There the encoder starts from ImageNet
// weights; here from random ones, as long as none are loaded.

#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/blocks/map_norm.h"
#include "mambaseg/nets/blocks/resnet.h"
#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

constexpr double kMapNormEps = 1e-6;
constexpr int64_t kTaps = 11;  // of the inception blocks' rows and columns

/// Of the inception blocks.
struct InceptionSettings {
  int64_t states = 16;
  bool raw_reshape = false;
};

struct InceptionMambaSettings : InceptionSettings {
  int64_t in_channels = 3;
  int64_t classes = 6;
  int64_t planes = 64;
  std::vector<int64_t> depths{3, 4, 6};
  int64_t width = 128;
  double drop_path = 0.01;
  bool unused = true;
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels; a convolution in front makes three of them",
          at_least(1));
    visit("classes", classes, "classes with background; 1 is foreground against background", at_least(1));
    visit("planes", planes, "channels of the encoder's stem; its stages have 4, 8 and 16 times as many",
          at_least(1));
    visit("depths", depths, "residual blocks in the encoder's three stages", at_least(1));
    visit("width", width, "channels of the decoder, a multiple of 8", at_least(8));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("raw_reshape", raw_reshape,
          "Mamba takes the memory of (channel, row, column) for (pixel, channel), as published; off: the "
          "channels of a pixel are a token");
    visit("drop_path", drop_path,
          "training: chance that the inception block's branch is left out for a sample", between(0, 1));
    visit("unused", unused,
          "keep the convolution in front where the image has three channels and passes it by; the official "
          "files of weights hold it");
  }
};

std::shared_ptr<BatchNorm> norm(int64_t channels) { return std::make_shared<BatchNorm>(channels); }

class Relu6 : public Layer {
 public:
  torch::Tensor forward(const torch::Tensor& x) override { return x.clamp(0, 6); }
};

class LinearDoubling : public Layer {
 public:
  torch::Tensor forward(const torch::Tensor& x) override { return linear_upsampled(x, 2); }
};

std::shared_ptr<Sequence> conv_norm_relu6(int64_t in, int64_t out) {
  return sequence({conv(2, in, out, 3, {.bias = false}), norm(out), std::make_shared<Relu6>()});
}

/// Feature refinement module (FRM): x from what of it, normed, is like its surroundings on a quarter of the
/// resolution (product) and unlike (difference). Prefixes "layer_norm1", "down", "lconv", "norm1", "hconv",
/// "norm2", "proj".
class FeatureRefinement : public Layer {
 public:
  explicit FeatureRefinement(int64_t channels)
      : norm_(register_module("layer_norm1", std::make_shared<MapLayerNorm>(channels, kMapNormEps))),
        low_norm_(register_module("norm1", std::make_shared<MapLayerNorm>(channels, kMapNormEps))),
        high_norm_(register_module("norm2", std::make_shared<MapLayerNorm>(channels, kMapNormEps))),
        down_(register_module("down", depthwise(2, channels, 5, {.stride = {4, 4}}))),
        low_(register_module("lconv", depthwise(2, channels, 3))),
        high_(register_module("hconv", depthwise(2, channels, 3))),
        proj_(register_module("proj", conv(2, 2 * channels, channels, 1))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor n = norm_->forward(x), around = linear_resized(down_->forward(n), spatial_size(x));
    const torch::Tensor low = low_norm_->forward(low_->forward(torch::gelu(n * around))),
                        high = high_norm_->forward(high_->forward(torch::gelu(n - around)));
    return x + proj_->run(torch::cat({low, high}, 1), {Activation::gelu, {}});
  }

 private:
  std::shared_ptr<MapLayerNorm> norm_, low_norm_, high_norm_;
  std::shared_ptr<Convolution> down_, low_, high_, proj_;
};

/// Norm and Mamba on the pixels of a map. Prefixes "norm", "mamba".
class MapMamba : public Layer {
 public:
  MapMamba(int64_t channels, const InceptionSettings& s)
      : raw_reshape_(s.raw_reshape),
        norm_(register_module("norm", std::make_shared<LayerNorm>(channels))),
        mamba_(register_module("mamba", std::make_shared<Mamba>(MambaSettings{
                                            .width = channels, .states = s.states, .dims = 2}))) {}
  /// x (B, channels, Y, X) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override {
    const int64_t B = x.size(0), C = x.size(1), Y = x.size(2), X = x.size(3);
    if (!raw_reshape_) return mamba_->forward(norm_->forward(x.movedim(1, -1))).movedim(-1, 1);
    const torch::Tensor tokens = x.contiguous(at::MemoryFormat::Contiguous).view({B, Y, X, C});
    return mamba_->forward(norm_->forward(tokens)).contiguous().view({B, C, Y, X});
  }

 private:
  bool raw_reshape_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Mamba> mamba_;
};

/// Inception depthwise convolution (InceptionNeXt, Yu et al. 2024): half of the channels as they are, an
/// eighth each through a square, a row, a column and Mamba. Prefixes "dwconv_hw", "dwconv_w", "dwconv_h",
/// "mamba".
class InceptionMixer : public Layer {
 public:
  InceptionMixer(int64_t channels, const InceptionSettings& s) : part_(channels / 8) {
    const ConvolutionSettings each{.groups = part_};
    parts_.push_back(register_module("dwconv_hw", depthwise(2, part_, 3)));
    parts_.push_back(
        register_module("dwconv_w", std::make_shared<Convolution>(part_, part_, Extent{1, kTaps}, each)));
    parts_.push_back(
        register_module("dwconv_h", std::make_shared<Convolution>(part_, part_, Extent{kTaps, 1}, each)));
    parts_.push_back(register_module("mamba", std::make_shared<MapMamba>(part_, s)));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const int64_t kept = x.size(1) - 4 * part_;
    std::vector<torch::Tensor> out{x.narrow(1, 0, kept)};
    for (size_t i = 0; i < parts_.size(); ++i)
      out.push_back(parts_[i]->forward(x.narrow(1, kept + static_cast<int64_t>(i) * part_, part_)));
    return torch::cat(out, 1);
  }

 private:
  int64_t part_;
  std::vector<std::shared_ptr<Layer>> parts_;
};

/// x + path(gamma * mixer(norm(x))), where gamma starts at 1e-6. Prefixes "norm", "token_mixer", "gamma".
class MetaNextBlock : public Layer {
 public:
  MetaNextBlock(int64_t channels, double drop_path, const InceptionSettings& s)
      : norm_(register_module("norm", norm(channels))),
        mixer_(register_module("token_mixer", std::make_shared<InceptionMixer>(channels, s))),
        path_(register_module("drop_path", std::make_shared<DropPath>(drop_path))),
        gamma_(register_parameter("gamma", torch::full({channels}, 1e-6))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor y = mixer_->forward(norm_->forward(x));
    return x + path_->forward((gamma_.view({1, -1, 1, 1}) * y).to(x.scalar_type()));
  }

 private:
  std::shared_ptr<BatchNorm> norm_;
  std::shared_ptr<InceptionMixer> mixer_;
  std::shared_ptr<DropPath> path_;
  torch::Tensor gamma_;
};

/// The three coarser maps of the encoder, brought to the size of the last, refined and joined. Prefixes
/// "conv2", "gcn2", ..., "bn", "conv", "qconv".
class JoinedBottleneck : public Module {
 public:
  JoinedBottleneck(const std::vector<int64_t>& in, int64_t width, double drop_path,
                   const InceptionSettings& s) {
    for (size_t i = 0; i < in.size(); ++i) {
      const std::string number = std::to_string(i + 2);
      convs_.push_back(register_module("conv" + number, conv(2, in[i], width, 3)));
      refined_.push_back(register_module("gcn" + number, std::make_shared<FeatureRefinement>(width)));
    }
    const auto all = static_cast<int64_t>(in.size()) * width;
    bn_ = register_module("bn", norm(all));
    conv_ = register_module("conv", conv(2, all, width, 3));
    block_ = register_module("qconv", std::make_shared<MetaNextBlock>(width, drop_path, s));
  }
  torch::Tensor forward(const std::vector<torch::Tensor>& maps) {
    std::vector<torch::Tensor> out;
    for (size_t i = 0; i < maps.size(); ++i) {
      const torch::Tensor x =
          i + 1 < maps.size() ? linear_resized(maps[i], spatial_size(maps.back())) : maps[i];
      out.push_back(refined_[i]->forward(convs_[i]->forward(x)));
    }
    const torch::Tensor joined = conv_->run(bn_->forward(torch::cat(out, 1)), {Activation::gelu, {}});
    return torch::gelu(block_->forward(joined));
  }

 private:
  std::vector<std::shared_ptr<Convolution>> convs_;
  std::vector<std::shared_ptr<FeatureRefinement>> refined_;
  std::shared_ptr<BatchNorm> bn_;
  std::shared_ptr<Convolution> conv_;
  std::shared_ptr<MetaNextBlock> block_;
};

class InceptionMamba : public Network {
 public:
  explicit InceptionMamba(const InceptionMambaSettings& s) : takes_three_(s.in_channels == 3) {
    if (s.depths.size() != 3) throw UsageError(concat("depths: expected 3 numbers, got ", s.depths.size()));
    if (s.width % 8 != 0) throw UsageError(concat("width: expected a multiple of 8, got ", s.width));
    const int64_t p = s.planes, c = s.width;
    const auto holder = [&](const char* name) {
      return register_module(name, std::make_shared<torch::nn::Module>());
    };
    if (s.unused || !takes_three_) {
      const auto inc = holder("inc");
      inc_conv_ = inc->register_module("conv", conv(2, s.in_channels, 3, 3));
      inc_norm_ = inc->register_module("norm", norm(3));
    }
    const auto backbone = holder("backbone"), decoder = holder("decoder");
    conv1_ = backbone->register_module("conv1", conv(2, 3, p, 7, {.stride = {2, 2}, .bias = false}));
    bn1_ = backbone->register_module("bn1", norm(p));
    int64_t in = p;
    for (size_t i = 0; i < s.depths.size(); ++i) {
      auto stage = sequence({});
      for (int64_t j = 0; j < s.depths[i]; ++j, in = 4 * (p << i))
        stage->push_back(std::make_shared<ResnetBottleneck>(in, p << i, i > 0 && j == 0 ? 2 : 1));
      stages_.push_back(backbone->register_module("layer" + std::to_string(i + 1), stage));
    }
    bottleneck_ = decoder->register_module(
        "b3",
        std::make_shared<JoinedBottleneck>(std::vector<int64_t>{4 * p, 8 * p, 16 * p}, c, s.drop_path, s));
    const auto doubling = [] { return std::make_shared<NearestDoubling>(); };
    up_conv_ = decoder->register_module(
        "up_conv",
        sequence({conv_norm_relu6(c, 2 * c), doubling(), std::make_shared<InceptionMixer>(2 * c, s),
                  doubling(), conv_norm_relu6(2 * c, c), doubling()}));
    pre_conv_ = decoder->register_module("pre_conv", conv_norm_relu6(p, c));
    head_ = decoder->register_module("head",
                                     sequence({conv_norm_relu6(c, c / 2), std::make_shared<LinearDoubling>(),
                                               sequence({conv(2, c / 2, s.classes, 1, {.bias = false})})}));
    start_as_vmamba(*decoder);
    const torch::NoGradGuard no_grad;
    for (const auto& part : decoder->modules(/*include_self=*/false)) {
      auto* dense = dynamic_cast<Convolution*>(part.get());
      if (dense == nullptr || dense->weight.dim() != 4) continue;  // Mamba's is left as it is
      dense->weight.normal_(0, 0.02);
      if (dense->bias.defined()) dense->bias.zero_();
    }
  }
  Extent size_multiples() const override { return cube(2, 16); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& input) override {
    const torch::Tensor x =
        takes_three_ ? input : normed(*inc_conv_, *inc_norm_, input, {Activation::relu, {}});
    const torch::Tensor half = normed(*conv1_, *bn1_, x, {Activation::relu, {}});
    std::vector<torch::Tensor> maps;
    for (const auto& stage : stages_)
      maps.push_back(stage->forward(maps.empty() ? torch::max_pool2d(half, 3, 2, 1) : maps.back()));
    return {head_->forward(up_conv_->forward(bottleneck_->forward(maps)) + pre_conv_->forward(half))};
  }

 private:
  bool takes_three_;
  std::shared_ptr<Convolution> inc_conv_, conv1_;
  std::shared_ptr<BatchNorm> inc_norm_, bn1_;
  std::vector<std::shared_ptr<Sequence>> stages_;
  std::shared_ptr<JoinedBottleneck> bottleneck_;
  std::shared_ptr<Sequence> up_conv_, pre_conv_, head_;
};

Json official_settings(const Json& a) {
  const auto backbone = argument<std::string>(a, "backbone_name", "resnet50");
  if (backbone != "resnet50") throw UsageError("backbone_name: expected resnet50, got " + backbone);
  InceptionMambaSettings s;
  s.in_channels = argument<int64_t>(a, "n_channels", 3);
  s.classes = argument<int64_t>(a, "n_classes", 6);
  s.width = argument<int64_t>(a, "decoder_channels", 128);
  s.raw_reshape = true;
  return to_json(s);
}

using Block = std::shared_ptr<torch::nn::Module>;
constexpr InceptionSettings kOfficial{.raw_reshape = true};

Block official_bottleneck(const Json& a) {
  auto dims = a.at("dims").get<std::vector<int64_t>>();
  dims.erase(dims.begin());
  return std::make_shared<JoinedBottleneck>(dims, a.at("channels"), 0, kOfficial);
}
torch::Tensor run_bottleneck(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<JoinedBottleneck&>(module).forward(
      {inputs.at("input2"), inputs.at("input3"), inputs.at("input4")});
}
Block official_refinement(const Json& a) {
  return std::make_shared<FeatureRefinement>(a.at("in_dim").get<int64_t>());
}
Block official_mixer(const Json& a) {
  return std::make_shared<InceptionMixer>(a.at("in_channels"), kOfficial);
}
Block official_block(const Json& a) { return std::make_shared<MetaNextBlock>(a.at("dim"), 0, kOfficial); }

constexpr const char* kRepository = "Daniyanaj/InceptionMamba";

}  // namespace

NetworkEntry inceptionmamba_entry() {
  return hybrid_entry<InceptionMambaSettings>(
      {.name = "inceptionmamba",
       .dims = {2},
       .source = "InceptionMamba: Efficient Multi-Stage Feature Enhancement with Selective State Space Model "
                 "for 2D Medical Image Segmentation, 2025; github.com/Daniyanaj/InceptionMamba",
       .summary =
           "three stages of ResNet-50, refined and joined; inception depthwise convolutions, a share of "
           "whose channels Mamba reads",
       .parameters = 11'924'282,
       .small = R"({"in_channels": 1, "classes": 3, "planes": 4, "depths": [1, 1, 1], "width": 16,
                    "states": 4, "drop_path": 0.0})",
       .small_edge = 32,
       .official = {{kRepository, "MyNet", official_settings}},
       .blocks = {{kRepository, {"BottleNeck_Block"}, official_bottleneck, run_bottleneck},
                  {kRepository, {"FeatureRefinementModule"}, official_refinement},
                  {kRepository, {"InceptionDWConv2d"}, official_mixer},
                  {kRepository, {"MetaNeXtBlock"}, official_block}}},
      [](const InceptionMambaSettings& s) { return std::make_shared<InceptionMamba>(s); });
}

}  // namespace mambaseg
