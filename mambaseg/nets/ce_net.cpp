// CE-Net: Context Encoder Network for 2D Medical Image Segmentation (Gu et al. 2019), after
// github.com/Guzaiwang/CE-Net, whose module names it keeps. Encoder of ResNet-34, dense atrous convolutions
// (DAC) and multi-kernel pooling (RMP, "spp") at 1/32, a decoder that adds the encoder's features. There the
// encoder starts from ImageNet weights; here from random ones, as long as none are loaded. A pooling window
// larger than the grid shrinks to it (below 192 pixels an edge the original fails).

#include "mambaseg/nets/ce_net.h"

#include <torch/nn/functional.h>
#include <torch/nn/modules/conv.h>

#include "mambaseg/nets/blocks/layers.h"

namespace mambaseg {
namespace {

namespace nn = torch::nn;
namespace F = torch::nn::functional;

struct CeNetSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  std::vector<int64_t> widths{64, 128, 256, 512};
  std::vector<int64_t> depths{3, 4, 6, 3};
  std::vector<int64_t> dilations{1, 3, 5};
  std::vector<int64_t> pools{2, 3, 5, 6};

  template <class Visitor>
  void describe(Visitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the four encoder stages", at_least(4));
    visit("depths", depths, "residual blocks in the four encoder stages", at_least(1));
    visit("dilations", dilations, "of the three atrous convolutions", at_least(1));
    visit("pools", pools, "edges of the pooling windows", at_least(1));
  }
};

Conv2d conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, bool bias = true,
            int64_t dilation = 1) {
  return Conv2d(nn::Conv2dOptions(in, out, kernel)
                    .stride(stride)
                    .padding(dilation * (kernel / 2))
                    .dilation(dilation)
                    .bias(bias));
}

/// The basic block of ResNet (He et al. 2016).
class BasicBlock : public nn::Module {
 public:
  BasicBlock(int64_t in, int64_t out, int64_t stride) {
    conv1_ = register_module("conv1", conv(in, out, 3, stride, false));
    bn1_ = register_module("bn1", BatchNorm2d(out));
    conv2_ = register_module("conv2", conv(out, out, 3, 1, false));
    bn2_ = register_module("bn2", BatchNorm2d(out));
    if (stride != 1 || in != out)
      downsample_ =
          register_module("downsample", Sequential(conv(in, out, 1, stride, false), BatchNorm2d(out)));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = normed(conv1_, bn1_, x, {Activation::relu, {}});
    return normed(conv2_, bn2_, y, {Activation::relu, downsample_.is_empty() ? x : downsample_->forward(x)});
  }

 private:
  Conv2d conv1_{nullptr}, conv2_{nullptr};
  BatchNorm2d bn1_{nullptr}, bn2_{nullptr};
  Sequential downsample_{nullptr};
};

/// Dense atrous convolution block: four cascades of atrous convolutions, added to the input. All share the
/// three convolutions.
class DenseAtrousConv : public nn::Module {
 public:
  DenseAtrousConv(int64_t channels, const std::vector<int64_t>& dilations) {
    for (size_t i = 0; i < 3; ++i)
      dilate_.push_back(register_module("dilate" + std::to_string(i + 1),
                                        conv(channels, channels, 3, 1, true, dilations[i])));
    conv1x1_ = register_module("conv1x1", conv(channels, channels, 1));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor first = dilate_[0]->forward(x), chained = dilate_[1]->forward(first);
    return x + torch::relu(first) + torch::relu(conv1x1_->forward(dilate_[1]->forward(x))) +
           torch::relu(conv1x1_->forward(chained)) +
           torch::relu(conv1x1_->forward(dilate_[2]->forward(chained)));
  }

 private:
  std::vector<Conv2d> dilate_;
  Conv2d conv1x1_{nullptr};
};

/// Residual multi-kernel pooling: one map for each pooling window, beside the input.
class MultiKernelPooling : public nn::Module {
 public:
  MultiKernelPooling(int64_t channels, std::vector<int64_t> pools)
      : pools_(std::move(pools)), conv_(register_module("conv", conv(channels, 1, 1))) {}
  torch::Tensor forward(const torch::Tensor& x) {
    std::vector<torch::Tensor> maps;
    for (const int64_t pool : pools_) {
      const std::vector<int64_t> window{std::min(pool, x.size(2)), std::min(pool, x.size(3))};
      maps.push_back(F::interpolate(conv_->forward(torch::max_pool2d(x, window, window)),
                                    F::InterpolateFuncOptions()
                                        .size(std::vector<int64_t>{x.size(2), x.size(3)})
                                        .mode(torch::kBilinear)
                                        .align_corners(false)));
    }
    maps.push_back(x);
    return torch::cat(maps, 1);
  }

 private:
  std::vector<int64_t> pools_;
  Conv2d conv_;
};

/// Doubles the grid between two 1x1 convolutions.
class Decoder : public nn::Module {
 public:
  Decoder(int64_t in, int64_t out) {
    const int64_t inner = in / 4;
    conv1_ = register_module("conv1", conv(in, inner, 1));
    norm1_ = register_module("norm1", BatchNorm2d(inner));
    deconv2_ = register_module(
        "deconv2",
        ConvTranspose2d(nn::ConvTranspose2dOptions(inner, inner, 3).stride(2).padding(1).output_padding(1)));
    norm2_ = register_module("norm2", BatchNorm2d(inner));
    conv3_ = register_module("conv3", conv(inner, out, 1));
    norm3_ = register_module("norm3", BatchNorm2d(out));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor narrow = normed(conv1_, norm1_, x, {Activation::relu, {}});
    const torch::Tensor grown = torch::relu(norm2_->forward(deconv2_->forward(narrow)));
    return normed(conv3_, norm3_, grown, {Activation::relu, {}});
  }

 private:
  Conv2d conv1_{nullptr}, conv3_{nullptr};
  ConvTranspose2d deconv2_{nullptr};
  BatchNorm2d norm1_{nullptr}, norm2_{nullptr}, norm3_{nullptr};
};

class CeNet : public Network {
 public:
  explicit CeNet(const CeNetSettings& s) {
    check(s);
    const auto& w = s.widths;
    firstconv_ = register_module(
        "firstconv", Conv2d(nn::Conv2dOptions(s.in_channels, w[0], 7).stride(2).padding(3).bias(false)));
    firstbn_ = register_module("firstbn", BatchNorm2d(w[0]));
    for (size_t i = 0; i < 4; ++i) {
      Sequential stage;
      for (int64_t b = 0; b < s.depths[i]; ++b)
        stage->push_back(
            std::make_shared<BasicBlock>(b == 0 && i > 0 ? w[i - 1] : w[i], w[i], b == 0 && i > 0 ? 2 : 1));
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
        "finaldeconv1", ConvTranspose2d(nn::ConvTranspose2dOptions(w[0], last, 4).stride(2).padding(1)));
    finalconv2_ = register_module("finalconv2", conv(last, last, 3));
    finalconv3_ = register_module("finalconv3", conv(last, s.classes, 3));
  }

  int64_t size_multiple() const override { return 32; }

  std::vector<torch::Tensor> forward(const torch::Tensor& input) override {
    require(input.dim() == 4 && input.size(2) % size_multiple() == 0 && input.size(3) % size_multiple() == 0,
            "ce_net: expected (batch, channel, Y, X) with edges that are multiples of ", size_multiple(),
            ", got ", input.sizes());
    torch::Tensor x = normed(firstconv_, firstbn_, input, {Activation::relu, {}});
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

  Conv2d firstconv_{nullptr}, finalconv2_{nullptr}, finalconv3_{nullptr};
  BatchNorm2d firstbn_{nullptr};
  std::vector<Sequential> encoder_;
  std::shared_ptr<DenseAtrousConv> dblock_;
  std::shared_ptr<MultiKernelPooling> spp_;
  std::vector<std::shared_ptr<Decoder>> decoder_;  ///< coarsest first
  ConvTranspose2d finaldeconv1_{nullptr};
};

}  // namespace

NetworkEntry ce_net_entry() {
  return {"ce_net",
          {2},
          "Gu et al.: CE-Net: Context Encoder Network for 2D Medical Image Segmentation, 2019; "
          "github.com/Guzaiwang/CE-Net",
          "ResNet-34 encoder, dense atrous convolutions and multi-kernel pooling, additive skips",
          29'003'093,
          [](const Json& settings) -> std::shared_ptr<Network> {
            return std::make_shared<CeNet>(from_json<CeNetSettings>(settings));
          },
          [] { return to_json(CeNetSettings{}); },
          [] { return documentation<CeNetSettings>(); },
          [] {
            return Json{{"classes", 3}, {"widths", {4, 8, 12, 16}}, {"depths", {1, 2, 1, 1}}, {"_edge", 64}};
          }};
}

}  // namespace mambaseg
