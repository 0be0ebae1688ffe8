// VM-UNetV2: Rethinking Vision Mamba UNet for Medical Image Segmentation (Zhang et al. 2024), after its
// public code: VM-UNet's encoder, attention over channels and places on each scale, every scale multiplied
// with all others (SDI, from U-Net v2), and a small convolutional decoder. Unlike there, forward returns
// scores before the sigmoid, pictures need not be square, and more maps than one may be asked for.
//
// The official class takes what *enters* the encoder's stages, so its last stage and some other parameters,
// 8.95 of 22.77 million, reach no score. They are kept (not computed with) where `unused` says so, which
// files of its weights need.

#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

constexpr size_t kScales = 4;
constexpr int64_t kReduction = 16;

struct VmUnetV2Settings : VssEncoderSettings {
  int64_t classes = 1;
  bool deep_supervision = true;
  bool unused = true;

  VmUnetV2Settings() {
    depths = {2, 2, 9, 2};
    grey_as_three = true;
  }
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels; one (grey) is repeated to three", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    VssEncoderSettings::describe(visit);
    visit(
        "deep_supervision", deep_supervision,
        "the scores of the second finest scale, grown by a transposed convolution, are added to those of the "
        "finest, in prediction too");
    visit("unused", unused,
          "keep the parameters that no score depends on, among them the encoder's last blocks; the official "
          "files of weights hold them");
  }
};

/// Gate of each channel from mean and maximum over the picture, by one MLP for both. Prefixes "fc1", "fc2".
class ChannelAttention : public Layer {
 public:
  explicit ChannelAttention(int64_t channels)
      : fc1_(register_module("fc1", conv(2, channels, channels / kReduction, 1, {.bias = false}))),
        fc2_(register_module("fc2", conv(2, channels / kReduction, channels, 1, {.bias = false}))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return x * torch::sigmoid(mlp(x.mean({2, 3}, true)) + mlp(x.amax({2, 3}, true)));
  }

 private:
  torch::Tensor mlp(const torch::Tensor& x) { return fc2_->forward(fc1_->run(x, {Activation::relu, {}})); }
  std::shared_ptr<Convolution> fc1_, fc2_;
};

/// Gate of each place from mean and maximum over its channels. Prefix "conv1".
class SpatialAttention : public Layer {
 public:
  SpatialAttention() : conv1_(register_module("conv1", conv(2, 2, 1, 7, {.bias = false}))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return x * conv1_->run(channel_mean_and_max(x), {Activation::sigmoid, {}});
  }

 private:
  std::shared_ptr<Convolution> conv1_;
};

/// Pointwise convolution and batch norm. Prefixes "conv", "bn".
class Translation : public Layer {
 public:
  Translation(int64_t in, int64_t out)
      : conv_(register_module("conv", conv(2, in, out, 1, {.bias = false}))),
        bn_(register_module("bn", std::make_shared<BatchNorm>(out))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return normed(*conv_, *bn_, x); }

 private:
  std::shared_ptr<Convolution> conv_;
  std::shared_ptr<BatchNorm> bn_;
};

/// Semantics and detail infusion (SDI): all scales brought to the size of one (means downwards, interpolation
/// upwards), convolved and multiplied. Prefix "convs".
class DetailInfusion : public Module {
 public:
  explicit DetailInfusion(int64_t width) {
    for (size_t i = 0; i < kScales; ++i) convs_.push_back(conv(2, width, width, 3));
    register_list(*this, "convs", convs_);
  }
  torch::Tensor forward(const std::vector<torch::Tensor>& scales, size_t anchor) {
    const Extent size = spatial_size(scales[anchor]);
    torch::Tensor product;
    for (size_t i = 0; i < kScales; ++i) {
      const int64_t factor = int64_t{1} << (anchor > i ? anchor - i : 0);
      const torch::Tensor x = i < anchor   ? average_pooled(scales[i], cube(2, factor))
                              : i > anchor ? linear_resized(scales[i], size, /*align_corners=*/true)
                                           : scales[i];
      const torch::Tensor y = convs_[i]->forward(x);
      product = product.defined() ? product * y : y;
    }
    return product;
  }

 private:
  std::vector<std::shared_ptr<Convolution>> convs_;
};

class VmUnetV2 : public Network {
 public:
  explicit VmUnetV2(const VmUnetV2Settings& settings);
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  VmUnetV2Settings settings_;
  std::shared_ptr<VssEncoder> encoder_;
  std::vector<std::shared_ptr<Layer>> channel_, spatial_, translation_;  ///< finest first
  std::vector<std::shared_ptr<DetailInfusion>> infusion_;                ///< finest first
  std::vector<std::shared_ptr<TransposedConvolution>> grow_;             ///< coarsest first
  std::vector<std::shared_ptr<Convolution>> heads_;                      ///< coarsest first
  std::shared_ptr<TransposedConvolution> grow_scores_;
};

void check(const VmUnetV2Settings& s) {
  if (s.widths.size() != kScales)
    throw UsageError(concat("widths: expected 4 numbers, got ", s.widths.size()));
  if (s.widths[0] < kReduction || s.widths[0] % 2 != 0)
    throw UsageError(concat("widths: expected even numbers from 16, got ", s.widths[0]));
}

VmUnetV2::VmUnetV2(const VmUnetV2Settings& s) : settings_(s) {
  check(s);
  VssEncoderSettings encoder = s;
  if (!s.unused && !s.depths.empty()) encoder.depths.back() = 0;
  const int64_t width = s.widths[0] / 2;
  for (size_t i = 0; i < kScales; ++i) {
    const std::string number = std::to_string(i + 1);
    channel_.push_back(register_module("ca_" + number, std::make_shared<ChannelAttention>(s.widths[i])));
    spatial_.push_back(register_module("sa_" + number, std::make_shared<SpatialAttention>()));
    translation_.push_back(
        register_module("Translayer_" + number, std::make_shared<Translation>(s.widths[i], width)));
    infusion_.push_back(register_module("sdi_" + number, std::make_shared<DetailInfusion>(width)));
    const bool used = i + 1 == kScales || (s.deep_supervision && i + 2 == kScales);
    heads_.push_back(used || s.unused ? conv(2, width, s.classes, 1) : nullptr);
    if (i + 1 < kScales || s.unused)
      grow_.push_back(register_module(
          "deconv" + std::to_string(i + 2),
          std::make_shared<TransposedConvolution>(
              width, width, cube(2, 4),
              TransposedSettings{.stride = cube(2, 2), .padding = cube(2, 1), .bias = false})));
  }
  register_list(*this, "seg_outs", heads_);
  if (s.deep_supervision || s.unused)
    grow_scores_ = register_module(
        "deconv6",
        std::make_shared<TransposedConvolution>(
            1, 1, cube(2, 3),
            TransposedSettings{.stride = cube(2, 2), .padding = cube(2, 1), .output_padding = cube(2, 1)}));
  encoder_ = register_module("vmunet", std::make_shared<VssEncoder>(encoder));
  start_as_vmamba(*encoder_);
}

std::vector<torch::Tensor> VmUnetV2::scores(const torch::Tensor& input) {
  std::vector<torch::Tensor> scales = encoder_->entering(input, /*last=*/false);
  for (size_t i = 0; i < kScales; ++i) {
    const torch::Tensor x = channel_[i]->forward(scales[i].permute({0, 3, 1, 2}));
    scales[i] = translation_[i]->forward(spatial_[i]->forward(x));
  }
  torch::Tensor second, y = infusion_.back()->forward(scales, kScales - 1);
  for (size_t i = 1; i < kScales; ++i) {
    second = y;
    y = grow_[i - 1]->forward(y) + infusion_[kScales - 1 - i]->forward(scales, kScales - 1 - i);
  }
  torch::Tensor out = linear_upsampled(heads_[kScales - 1]->forward(y), settings_.patch);
  if (!settings_.deep_supervision) return {out};
  // The official layer has one channel; further maps pass it one by one.
  const torch::Tensor maps = linear_upsampled(heads_[kScales - 2]->forward(second), settings_.patch);
  const torch::Tensor grown = grow_scores_->forward(maps.flatten(0, 1).unsqueeze(1)).reshape(out.sizes());
  seen("deconv6", grown);
  return {out + grown};
}

Json official_settings(const Json& a) {
  VmUnetV2Settings s;
  const auto middle = argument<int64_t>(a, "mid_channel", 48);
  s.in_channels = argument<int64_t>(a, "input_channels", 3);
  s.classes = argument<int64_t>(a, "num_classes", 1);
  s.widths = {2 * middle, 4 * middle, 8 * middle, 16 * middle};
  s.depths = argument(a, "depths", s.depths);
  s.states = argument<int64_t>(a, "d_state", 16);
  s.drop_path = argument(a, "drop_path_rate", s.drop_path);
  s.deep_supervision = argument(a, "deep_supervision", true);
  return to_json(s);
}

/// The official class does so where there is one class.
torch::Tensor sigmoid_of_one(const torch::Tensor& scores) {
  return scores.size(1) == 1 ? scores.sigmoid() : scores;
}

}  // namespace

NetworkEntry vm_unet_v2_entry() {
  return hybrid_entry<VmUnetV2Settings>(
      {.name = "vm_unet_v2",
       .dims = {2},
       .source =
           "Zhang et al.: VM-UNetV2: Rethinking Vision Mamba UNet for Medical Image Segmentation, 2024; "
           "github.com/nobodyplayer1/VM-UNetV2",
       .summary = "VM-UNet's encoder, its scales gated and multiplied with each other, convolutional decoder",
       .parameters = 22'770'934,
       .small = R"({"classes": 2, "widths": [16, 32, 64, 128], "depths": [1, 1, 1, 1], "states": 2,
                    "drop_path": 0.0, "unused": false})",
       .small_edge = 32,
       .official = {{"nobodyplayer1/VM-UNetV2", "VMUNetV2", official_settings, sigmoid_of_one}}},
      [](const VmUnetV2Settings& s) { return std::make_shared<VmUnetV2>(s); });
}

}  // namespace mambaseg
