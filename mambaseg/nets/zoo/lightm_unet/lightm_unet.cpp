// LightM-UNet: Mamba Assists in Lightweight UNet for Medical Image Segmentation (Liao et al. 2024), after its
// public code, whose module names it keeps, in two and three dimensions: Mamba in place of convolutions in
// the encoder, depthwise convolutions in the decoder, skips that are added. The defaults are those of its
// nnU-Net trainer (32 channels at full resolution), which give 5.0 million parameters; the paper's 1.09 (2-D)
// and 1.87 (3-D) million belong to no setting of that code.

#include <utility>

#include "mambaseg/nets/blocks/lightm_blocks.h"
#include "mambaseg/nets/blocks/unetr_blocks.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

struct LightMUnetSettings {
  int64_t dimension = 3;
  int64_t in_channels = 1;
  int64_t classes = 2;
  int64_t width = 32;
  std::vector<int64_t> depths{1, 2, 2, 4};
  std::vector<int64_t> decoder_depths{1, 1, 1};
  int64_t states = 16;

  void describe(SettingsVisitor& visit) {
    visit("dims", dimension, "spatial dimensions, 2 or 3", between(2, 3));
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("width", width,
          "channels at full resolution, a multiple of 8; each scale has twice those of the one before",
          at_least(1));
    visit("depths", depths, "Mamba blocks of the encoder's scales, full resolution first", at_least(0));
    visit("decoder_depths", decoder_depths, "convolution blocks of the decoder's scales, coarsest first",
          at_least(0));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
  }
};

/// x + mamba(relu(norm(mamba(relu(norm(x)))))). Prefixes "norm1", "conv1", "norm2", "conv2".
class ResidualMambaBlock : public Layer {
 public:
  ResidualMambaBlock(int64_t dims, int64_t width, int64_t states)
      : norm1_(register_module("norm1", std::make_shared<GroupNorm>(kLightmGroups, width))),
        norm2_(register_module("norm2", std::make_shared<GroupNorm>(kLightmGroups, width))),
        mamba1_(register_module("conv1", rvm_layer(dims, width, width, states))),
        mamba2_(register_module("conv2", rvm_layer(dims, width, width, states))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor y = mamba1_->forward(norm1_->run(x, {Activation::relu, {}}));
    return x + mamba2_->forward(norm2_->run(y, {Activation::relu, {}}));
  }

 private:
  std::shared_ptr<GroupNorm> norm1_, norm2_;
  std::shared_ptr<PvmLayer> mamba1_, mamba2_;
};

class LightMUnet : public Network {
 public:
  explicit LightMUnet(const LightMUnetSettings& settings);
  Extent size_multiples() const override { return cube(settings_.dimension, int64_t{1} << decoder_.size()); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  LightMUnetSettings settings_;
  std::shared_ptr<Sequence> stem_, head_;
  std::vector<std::shared_ptr<Sequence>> encoder_;           ///< full resolution first
  std::vector<std::shared_ptr<Sequence>> narrow_, decoder_;  ///< coarsest first
};

LightMUnet::LightMUnet(const LightMUnetSettings& s) : settings_(s) {
  if (s.depths.empty() || s.decoder_depths.size() + 1 != s.depths.size())
    throw UsageError(concat("depths and decoder_depths: expected one number more of the former, got ",
                            s.depths.size(), " and ", s.decoder_depths.size()));
  if (s.width % kLightmGroups != 0)
    throw UsageError(concat("width: expected a multiple of 8, got ", s.width));
  const int64_t dims = s.dimension;
  stem_ = register_module("convInit", separable_conv(dims, s.in_channels, s.width));
  for (size_t i = 0; i < s.depths.size(); ++i) {
    const int64_t width = s.width << i;
    // The first scale has a place for what halves the grid, and nothing in it.
    const auto halving = i == 0 ? sequence({})
                                : sequence({rvm_layer(s.dimension, width / 2, width, s.states),
                                            std::make_shared<HalvingMaxPool>()});
    encoder_.push_back(sequence({halving}));
    for (int64_t k = 0; k < s.depths[i]; ++k)
      encoder_[i]->push_back(std::make_shared<ResidualMambaBlock>(s.dimension, width, s.states));
  }
  for (size_t i = 0; i < s.decoder_depths.size(); ++i) {
    const int64_t width = s.width << (s.decoder_depths.size() - 1 - i);
    narrow_.push_back(
        sequence({std::make_shared<MonaiConvolution>(conv(dims, 2 * width, width, 1, {.bias = false}))}));
    decoder_.push_back(sequence({}));
    for (int64_t k = 0; k < s.decoder_depths[i]; ++k)
      decoder_[i]->push_back(std::make_shared<ScaledConvBlock>(dims, width));
  }
  register_list(*this, "down_layers", encoder_);
  register_list(*this, "up_layers", decoder_);
  register_list(*this, "up_samples", narrow_);
  head_ =
      register_module("conv_final", sequence({std::make_shared<GroupNorm>(kLightmGroups, s.width), relu(),
                                              separable_conv(dims, s.width, s.classes, 1, /*bias=*/true)}));
}

std::vector<torch::Tensor> LightMUnet::scores(const torch::Tensor& input) {
  std::vector<torch::Tensor> skips;
  torch::Tensor x = stem_->forward(input);
  for (const auto& scale : encoder_) skips.push_back(x = scale->forward(x));
  for (size_t i = 0; i < decoder_.size(); ++i) {
    const torch::Tensor grown = linear_upsampled(narrow_[i]->forward(x), 2);
    x = decoder_[i]->forward(grown + std::exchange(skips[decoder_.size() - 1 - i], {}));
  }
  return {head_->forward(x)};
}

Json official_settings(const Json& a) {
  LightMUnetSettings s;
  s.dimension = argument<int64_t>(a, "spatial_dims", 3);
  s.in_channels = argument<int64_t>(a, "in_channels", 1);
  s.classes = argument<int64_t>(a, "out_channels", 2);
  s.width = argument<int64_t>(a, "init_filters", 8);
  s.depths = argument(a, "blocks_down", s.depths);
  s.decoder_depths = argument(a, "blocks_up", s.decoder_depths);
  return to_json(s);
}

}  // namespace

NetworkEntry lightm_unet_entry() {
  return hybrid_entry<LightMUnetSettings>(
      {.name = "lightm_unet",
       .dims = {3, 2},
       .source = "Liao et al.: LightM-UNet: Mamba Assists in Lightweight UNet for Medical Image "
                 "Segmentation, 2024; "
                 "github.com/MrBlankness/LightM-UNet",
       .summary = "Mamba in place of convolutions in the encoder, depthwise convolutions in the decoder",
       .parameters = 5'015'733,
       .small = R"({"classes": 3, "width": 16, "depths": [1, 1, 1], "decoder_depths": [1, 1], "states": 4})",
       .small_edge = 8,
       .official = {{"MrBlankness/LightM-UNet", "LightMUNet", official_settings}}},
      [](const LightMUnetSettings& s) { return std::make_shared<LightMUnet>(s); });
}

}  // namespace mambaseg
