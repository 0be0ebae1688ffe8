// The U-Net that Weak-Mamba-UNet (Wang, Ma 2024) trains beside Swin-Unet (swin_unet) and Mamba-UNet
// (mamba_unet), after its public code, whose module names it keeps: narrower than the usual one, leaky ReLU,
// dropout between the two convolutions of the encoder's scales, stronger the deeper, and features that are
// narrowed, then interpolated. Each of the three is a network of its own; what ties them together is their
// losses on scribbles.

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct WeakMambaUnetSettings {
  int64_t in_channels = 1;
  int64_t classes = 4;
  std::vector<int64_t> widths{16, 32, 64, 128, 256};
  std::vector<double> dropout{0.05, 0.1, 0.2, 0.3, 0.5};

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the scales, finest first", at_least(1));
    visit("dropout", dropout, "training: chance between the convolutions of each scale of the encoder",
          between(0, 1));
  }
};

/// Prefix "conv_conv".
class ConvBlock : public Layer {
 public:
  ConvBlock(int64_t in, int64_t out, double dropout) {
    const auto norm = [&] { return std::make_shared<BatchNorm>(out); };
    body_ = register_module("conv_conv",
                            sequence({conv(2, in, out, 3), norm(), activation(Activation::leaky_relu),
                                      std::make_shared<Dropout>(dropout), conv(2, out, out, 3), norm(),
                                      activation(Activation::leaky_relu)}));
  }
  Tensor forward(const Tensor& x) override { return body_->forward(x); }

 private:
  std::shared_ptr<Sequence> body_;
};

class WeakMambaUnet : public Network {
 public:
  explicit WeakMambaUnet(const WeakMambaUnetSettings& s);
  Extent size_multiples() const override { return cube(2, int64_t{1} << (down_.size() - 1)); }

 protected:
  std::vector<Tensor> scores(const Tensor& x_BCYX) override;

 private:
  std::vector<std::shared_ptr<ConvBlock>> down_, up_;  ///< finest first; second coarsest first
  std::vector<std::shared_ptr<Convolution>> narrow_;   ///< second coarsest first
  std::shared_ptr<Convolution> head_;
};

WeakMambaUnet::WeakMambaUnet(const WeakMambaUnetSettings& s) {
  const auto& w = s.widths;
  if (w.size() < 2 || s.dropout.size() != w.size())
    throw UsageError(
        concat("widths and dropout: expected one number a scale each, of two scales at least, got ", w.size(),
               " and ", s.dropout.size()));
  const auto holder = [](torch::nn::Module& owner, const std::string& name) {
    return owner.register_module(name, std::make_shared<torch::nn::Module>());
  };
  const auto encoder = holder(*this, "encoder"), decoder = holder(*this, "decoder");
  for (size_t i = 0; i < w.size(); ++i) {
    down_.push_back(std::make_shared<ConvBlock>(i == 0 ? s.in_channels : w[i - 1], w[i], s.dropout[i]));
    if (i == 0)
      encoder->register_module("in_conv", down_[i]);
    else
      holder(*holder(*encoder, "down" + std::to_string(i)), "maxpool_conv")->register_module("1", down_[i]);
  }
  for (size_t i = w.size() - 1; i > 0; --i) {
    const auto up = holder(*decoder, "up" + std::to_string(w.size() - i));
    narrow_.push_back(up->register_module("conv1x1", conv(2, w[i], w[i - 1], 1)));
    up_.push_back(up->register_module("conv", std::make_shared<ConvBlock>(2 * w[i - 1], w[i - 1], 0)));
  }
  head_ = decoder->register_module("out_conv", conv(2, w[0], s.classes, 3));
}

std::vector<Tensor> WeakMambaUnet::scores(const Tensor& input) {
  std::vector<Tensor> skips;
  for (const auto& stage : down_)
    skips.push_back(stage->forward(skips.empty() ? input : halved_by_max(skips.back())));
  Tensor x = skips.back();
  for (size_t i = 0; i < up_.size(); ++i)
    x = up_[i]->forward(torch::cat(
        {skips[up_.size() - 1 - i], linear_upsampled(narrow_[i]->forward(x), 2, /*align_corners=*/true)}, 1));
  return {head_->forward(x)};
}

Json official_settings(const Json& a) {
  WeakMambaUnetSettings s;
  s.in_channels = a.at("in_chns");
  s.classes = a.at("class_num");
  return to_json(s);
}

}  // namespace

NetworkEntry weakmamba_unet_entry() {
  return network_entry<WeakMambaUnetSettings>(
      {.name = "weakmamba_unet",
       .dims = {2},
       .source = "Wang, Ma: Weak-Mamba-UNet: Visual Mamba Makes CNN and ViT Work Better for Scribble-based "
                 "Medical Image Segmentation, 2024; github.com/ziyangwang007/Weak-Mamba-UNet",
       .summary = "the narrow U-Net beside Swin-Unet and Mamba-UNet in Weak-Mamba-UNet",
       .parameters = 1'813'764,
       .small = R"({"classes": 3, "widths": [4, 6, 8], "dropout": [0.1, 0.1, 0.1]})",
       .small_edge = 16,
       .official = {{"ziyangwang007/Weak-Mamba-UNet", "UNet", official_settings}}},
      [](const WeakMambaUnetSettings& s) { return std::make_shared<WeakMambaUnet>(s); });
}

}  // namespace mambaseg
