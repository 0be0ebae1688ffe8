// VM-UNet: Vision Mamba UNet for Medical Image Segmentation (Ruan, Li, Xiang 2024), after its public code. A
// U-Net of selective scan blocks alone: patches of 4 x 4 pixels become tokens, scales (four there) of
// VMamba's first block on the way down and up, and the encoder's tokens are added (not concatenated) before
// the grid grows. Unlike there, forward returns scores before the sigmoid, and the widths are a setting.

#include <algorithm>
#include <numeric>
#include <utility>

#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

/// The defaults are those of the repository's configuration for skin lesions.
struct VmUnetSettings : VssEncoderSettings {
  int64_t classes = 1;
  std::vector<int64_t> decoder_depths{2, 2, 2, 1};

  VmUnetSettings() { grey_as_three = true; }
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels; one (grey) is repeated to three", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    VssEncoderSettings::describe(visit);
    visit("decoder_depths", decoder_depths, "blocks in the decoder's stages, coarsest first", at_least(0));
  }
};

/// VM-UNet (Ruan, Li, Xiang 2024).
class VmUnet : public Network {
 public:
  explicit VmUnet(const VmUnetSettings& settings);
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  VmUnetSettings settings_;
  std::shared_ptr<VssEncoder> encoder_;
  std::vector<std::shared_ptr<VssStage>> decoder_;  ///< coarsest first
  std::shared_ptr<PatchExpand2d> final_up_;
  std::shared_ptr<Convolution> final_conv_;
};

VmUnet::VmUnet(const VmUnetSettings& s) : settings_(s) {
  const auto& w = s.widths;
  if (s.decoder_depths.size() != w.size())
    throw UsageError(
        concat("decoder_depths: expected one number a scale, ", w.size(), ", got ", s.decoder_depths.size()));
  // The official class keeps the whole network in a member of this name.
  encoder_ = register_module("vmunet", std::make_shared<VssEncoder>(s));
  const int64_t blocks = std::accumulate(s.decoder_depths.begin(), s.decoder_depths.end(), int64_t{0});
  std::vector<double> falling = rising_drop_path(blocks, s.drop_path);
  std::reverse(falling.begin(), falling.end());
  const auto chances = by_scale(falling, s.decoder_depths);
  for (size_t i = 0; i < w.size(); ++i) {
    decoder_.push_back(std::make_shared<VssStage>(w[w.size() - 1 - i], s.states, chances[i]));
    if (i > 0) decoder_[i]->double_before();
  }
  torch::nn::Module& body = *encoder_;
  register_list(body, "layers_up", decoder_);
  final_up_ = body.register_module("final_up", std::make_shared<PatchExpand2d>(w[0], s.patch));
  final_conv_ = body.register_module("final_conv", conv(2, w[0] / s.patch, s.classes, 1));
  start_as_vmamba(*this);
}

std::vector<torch::Tensor> VmUnet::scores(const torch::Tensor& input) {
  std::vector<torch::Tensor> skips = encoder_->entering(input);
  torch::Tensor x = std::exchange(skips.back(), {});
  for (size_t i = 0; i < decoder_.size(); ++i)
    x = decoder_[i]->forward(i == 0 ? x : x + std::exchange(skips[decoder_.size() - i], {}));
  return {final_conv_->forward(final_up_->forward(x).permute({0, 3, 1, 2}))};
}

Json official_settings(const Json& a) {
  VmUnetSettings s;
  s.in_channels = argument<int64_t>(a, "in_chans", argument<int64_t>(a, "input_channels", 3));
  s.classes = argument<int64_t>(a, "num_classes", 1);
  s.widths = argument(a, "dims", s.widths);
  s.depths = argument<std::vector<int64_t>>(a, "depths", {2, 2, 9, 2});
  s.widths.resize(std::min(s.widths.size(), s.depths.size()));  // as many as there are depths are used
  s.decoder_depths = argument<std::vector<int64_t>>(a, "depths_decoder", {2, 9, 2, 2});
  s.states = argument<int64_t>(a, "d_state", 16);
  return to_json(s);
}

/// The official class does so where there is one class.
torch::Tensor sigmoid_of_one(const torch::Tensor& scores) {
  return scores.size(1) == 1 ? scores.sigmoid() : scores;
}

}  // namespace

NetworkEntry vm_unet_entry() {
  return hybrid_entry<VmUnetSettings>(
      {.name = "vm_unet",
       .dims = {2},
       .source = "Ruan, Li, Xiang: VM-UNet: Vision Mamba UNet for Medical Image Segmentation, 2024; "
                 "github.com/JCruan519/VM-UNet",
       .summary = "U-Net of four-directional selective scans, without other convolutions than those inside "
                  "the blocks",
       .parameters = 27'427'561,
       .small =
           R"({"classes": 2, "widths": [8, 16, 32, 64], "depths": [1, 2, 1, 1], "states": 4, "drop_path": 0.0})",
       .small_edge = 64,
       .official = {{"JCruan519/VM-UNet", "VMUNet", official_settings, sigmoid_of_one}}},
      [](const VmUnetSettings& s) { return std::make_shared<VmUnet>(s); });
}

}  // namespace mambaseg
