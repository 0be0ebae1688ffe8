// CE-Net: Context Encoder Network for 2D Medical Image Segmentation (Gu et al. 2019), after
// github.com/Guzaiwang/CE-Net, whose module names it keeps. Encoder of ResNet-34, dense atrous convolutions
// (DAC) and multi-kernel pooling (RMP, "spp") at 1/32, a decoder that adds the encoder's features. There the
// encoder starts from ImageNet weights; here from random ones, as long as none are loaded. A pooling window
// larger than the grid shrinks to it (below 192 pixels an edge the original fails).

#include "mambaseg/nets/blocks/resnet.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {
namespace {

struct CeNetSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  std::vector<int64_t> widths{64, 128, 256, 512};
  std::vector<int64_t> depths{3, 4, 6, 3};
  std::vector<int64_t> dilations{1, 3, 5};
  std::vector<int64_t> pools{2, 3, 5, 6};

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the four encoder stages", at_least(4));
    visit("depths", depths, "residual blocks in the four encoder stages", at_least(1));
    visit("dilations", dilations, "of the three atrous convolutions", at_least(1));
    visit("pools", pools, "edges of the pooling windows", at_least(1));
  }
};

std::shared_ptr<BatchNorm> norm(int64_t channels) { return std::make_shared<BatchNorm>(channels); }

/// Dense atrous convolution block: four cascades of atrous convolutions, added to the input. All share the
/// three convolutions.
class DenseAtrousConv : public Layer {
 public:
  DenseAtrousConv(int64_t channels, const std::vector<int64_t>& dilations) {
    for (size_t i = 0; i < 3; ++i)
      dilate_.push_back(register_module("dilate" + std::to_string(i + 1),
                                        conv(2, channels, channels, 3, {.dilation = cube(2, dilations[i])})));
    conv1x1_ = register_module("conv1x1", conv(2, channels, channels, 1));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor first = dilate_[0]->forward(x), chained = dilate_[1]->forward(first);
    return x + torch::relu(first) + torch::relu(conv1x1_->forward(dilate_[1]->forward(x))) +
           torch::relu(conv1x1_->forward(chained)) +
           torch::relu(conv1x1_->forward(dilate_[2]->forward(chained)));
  }

 private:
  std::vector<std::shared_ptr<Convolution>> dilate_;
  std::shared_ptr<Convolution> conv1x1_;
};

/// Residual multi-kernel pooling: one map for each pooling window, beside the input.
class MultiKernelPooling : public Layer {
 public:
  MultiKernelPooling(int64_t channels, std::vector<int64_t> pools)
      : pools_(std::move(pools)), conv_(register_module("conv", conv(2, channels, 1, 1))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    std::vector<torch::Tensor> maps;
    for (const int64_t pool : pools_) {
      const std::vector<int64_t> window{std::min(pool, x.size(2)), std::min(pool, x.size(3))};
      maps.push_back(linear_resized(conv_->forward(torch::max_pool2d(x, window, window)), spatial_size(x)));
    }
    maps.push_back(x);
    return torch::cat(maps, 1);
  }

 private:
  std::vector<int64_t> pools_;
  std::shared_ptr<Convolution> conv_;
};

/// Doubles the grid between two 1x1 convolutions.
class Decoder : public Layer {
 public:
  Decoder(int64_t in, int64_t out) {
    const int64_t inner = in / 4;
    conv1_ = register_module("conv1", conv(2, in, inner, 1));
    norm1_ = register_module("norm1", norm(inner));
    deconv2_ = register_module(
        "deconv2", std::make_shared<TransposedConvolution>(
                       inner, inner, cube(2, 3),
                       TransposedSettings{.stride = {2, 2}, .padding = {1, 1}, .output_padding = {1, 1}}));
    norm2_ = register_module("norm2", norm(inner));
    conv3_ = register_module("conv3", conv(2, inner, out, 1));
    norm3_ = register_module("norm3", norm(out));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor narrow = normed(*conv1_, *norm1_, x, {Activation::relu, {}});
    const torch::Tensor grown = torch::relu(norm2_->forward(deconv2_->forward(narrow)));
    return normed(*conv3_, *norm3_, grown, {Activation::relu, {}});
  }

 private:
  std::shared_ptr<Convolution> conv1_, conv3_;
  std::shared_ptr<TransposedConvolution> deconv2_;
  std::shared_ptr<BatchNorm> norm1_, norm2_, norm3_;
};

class CeNet : public Network {
 public:
  explicit CeNet(const CeNetSettings& s) {
    check(s);
    const auto& w = s.widths;
    firstconv_ =
        register_module("firstconv", conv(2, s.in_channels, w[0], 7, {.stride = {2, 2}, .bias = false}));
    firstbn_ = register_module("firstbn", norm(w[0]));
    for (size_t i = 0; i < 4; ++i) {
      const auto stage = std::make_shared<Sequence>();
      for (int64_t b = 0; b < s.depths[i]; ++b)
        stage->push_back(std::make_shared<ResnetBasicBlock>(b == 0 && i > 0 ? w[i - 1] : w[i], w[i],
                                                            b == 0 && i > 0 ? 2 : 1));
      encoder_.push_back(register_module("encoder" + std::to_string(i + 1), stage));
    }
    dblock_ = register_module("dblock", std::make_shared<DenseAtrousConv>(w[3], s.dilations));
    spp_ = register_module("spp", std::make_shared<MultiKernelPooling>(w[3], s.pools));
    for (size_t i = 4; i-- > 0;) {
      const int64_t in = i == 3 ? w[3] + static_cast<int64_t>(s.pools.size()) : w[i];
      decoder_.push_back(register_module("decoder" + std::to_string(i + 1),
                                         std::make_shared<Decoder>(in, i > 0 ? w[i - 1] : w[0])));
    }
    const int64_t last = w[0] / 2;
    finaldeconv1_ = register_module(
        "finaldeconv1", std::make_shared<TransposedConvolution>(
                            w[0], last, cube(2, 4), TransposedSettings{.stride = {2, 2}, .padding = {1, 1}}));
    finalconv2_ = register_module("finalconv2", conv(2, last, last, 3));
    finalconv3_ = register_module("finalconv3", conv(2, last, s.classes, 3));
  }

  Extent size_multiples() const override { return cube(2, 32); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& input) override {
    torch::Tensor x = normed(*firstconv_, *firstbn_, input, {Activation::relu, {}});
    x = torch::max_pool2d(x, 3, 2, 1);
    std::vector<torch::Tensor> skips;
    for (auto& stage : encoder_) {
      x = stage->forward(x);
      skips.push_back(x);
    }
    skips.pop_back();
    x = spp_->forward(dblock_->forward(x));
    for (const auto& stage : decoder_) {
      x = stage->forward(x);
      if (skips.empty()) continue;
      x = x + skips.back();
      skips.pop_back();
    }
    x = torch::relu(finaldeconv1_->forward(x));
    return {finalconv3_->forward(torch::relu(finalconv2_->forward(x)))};
  }

 private:
  static void check(const CeNetSettings& s) {
    if (s.widths.size() != 4 || s.depths.size() != 4)
      throw UsageError(
          concat("widths, depths: expected 4 numbers each, got ", s.widths.size(), " and ", s.depths.size()));
    if (s.dilations.size() != 3)
      throw UsageError(concat("dilations: expected 3 numbers, got ", s.dilations.size()));
  }

  std::shared_ptr<Convolution> firstconv_, finalconv2_, finalconv3_;
  std::shared_ptr<BatchNorm> firstbn_;
  std::vector<std::shared_ptr<Sequence>> encoder_;
  std::shared_ptr<DenseAtrousConv> dblock_;
  std::shared_ptr<MultiKernelPooling> spp_;
  std::vector<std::shared_ptr<Decoder>> decoder_;  ///< coarsest first
  std::shared_ptr<TransposedConvolution> finaldeconv1_;
};

Json official_settings(const Json& a) {
  CeNetSettings s;
  s.in_channels = argument<int64_t>(a, "num_channels", 3);
  s.classes = argument<int64_t>(a, "num_classes", 1);
  return to_json(s);
}

torch::Tensor sigmoid(const torch::Tensor& scores) { return scores.sigmoid(); }

std::shared_ptr<torch::nn::Module> official_dac(const Json& a) {
  return std::make_shared<DenseAtrousConv>(a.at("channel"), CeNetSettings().dilations);
}
std::shared_ptr<torch::nn::Module> official_spp(const Json& a) {
  return std::make_shared<MultiKernelPooling>(a.at("in_channels"), CeNetSettings().pools);
}
std::shared_ptr<torch::nn::Module> official_decoder(const Json& a) {
  return std::make_shared<Decoder>(a.at("in_channels"), a.at("n_filters"));
}

constexpr const char* kRepository = "Guzaiwang/CE-Net";

}  // namespace

NetworkEntry ce_net_entry() {
  return network_entry<CeNetSettings>(
      {.name = "ce_net",
       .dims = {2},
       .source = "Gu et al.: CE-Net: Context Encoder Network for 2D Medical Image Segmentation, 2019; "
                 "github.com/Guzaiwang/CE-Net",
       .summary = "ResNet-34 encoder, dense atrous convolutions and multi-kernel pooling, additive skips",
       .parameters = 29'003'093,
       .small = R"({"classes": 3, "widths": [4, 8, 12, 16], "depths": [1, 2, 1, 1]})",
       .small_edge = 64,
       .official = {{kRepository, "CE_Net_", official_settings, sigmoid}},
       .blocks = {{kRepository, {"DACblock"}, official_dac},
                  {kRepository, {"SPPblock"}, official_spp},
                  {kRepository, {"DecoderBlock"}, official_decoder}}},
      [](const CeNetSettings& s) { return std::make_shared<CeNet>(s); });
}

}  // namespace mambaseg
