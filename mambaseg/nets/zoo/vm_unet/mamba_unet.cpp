// Mamba-UNet: UNet-Like Pure Visual Mamba for Medical Image Segmentation (Wang et al. 2024), after its public
// code, whose module names it keeps: Swin-Unet's layout with VMamba's first block. Unlike in VM-UNet, skips
// are put beside the features and projected back, the grid grows behind the blocks, and the last projection
// keeps all channels. The widths are a setting; the official configuration's embed_dim and mlp_ratio have no
// effect.

#include <numeric>

#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

/// The defaults are those of the repository's configuration.
struct MambaUnetSettings : VssEncoderSettings {
  int64_t classes = 4;

  MambaUnetSettings() { grey_as_three = true; }
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels; one (grey) is repeated to three", at_least(1));
    visit("classes", classes, "classes, background included; 1 is foreground against background",
          at_least(1));
    VssEncoderSettings::describe(visit);
  }
};

class MambaUnet : public Network {
 public:
  explicit MambaUnet(const MambaUnetSettings& settings);
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  MambaUnetSettings settings_;
  std::shared_ptr<VssEncoder> encoder_;
  std::shared_ptr<LayerNorm> norm_, norm_up_;
  std::shared_ptr<Layer> first_up_;                 ///< null in a network of one scale
  std::vector<std::shared_ptr<Linear>> join_;       ///< second coarsest scale first
  std::vector<std::shared_ptr<VssStage>> decoder_;  ///< second coarsest scale first
  std::shared_ptr<PatchExpand2d> up_;
  std::shared_ptr<Convolution> output_;
};

MambaUnet::MambaUnet(const MambaUnetSettings& s) : settings_(s) {
  // The official class keeps the whole network in a member of this name.
  encoder_ = register_module("mamba_unet", std::make_shared<VssEncoder>(s));
  torch::nn::Module& body = *encoder_;
  const auto& w = s.widths;
  // A scale of the decoder has the depth and the chances of the encoder's.
  const int64_t blocks = std::accumulate(s.depths.begin(), s.depths.end(), int64_t{0});
  const auto chances = by_scale(rising_drop_path(blocks, s.drop_path), s.depths);
  std::vector<std::shared_ptr<Layer>> layers_up, concat_back_dim(1);
  for (size_t i = w.size(); i-- > 0;) {
    if (i + 1 == w.size()) {
      if (i > 0) layers_up.push_back(first_up_ = std::make_shared<PatchExpand2d>(w[i], 2));
      continue;
    }
    join_.push_back(std::make_shared<Linear>(2 * w[i], w[i]));
    decoder_.push_back(std::make_shared<VssStage>(w[i], s.states, chances[i]));
    if (i > 0) decoder_.back()->double_behind();
    concat_back_dim.push_back(join_.back());
    layers_up.push_back(decoder_.back());
  }
  register_list(body, "layers_up", layers_up);
  register_list(body, "concat_back_dim", concat_back_dim);
  norm_ = body.register_module("norm", std::make_shared<LayerNorm>(w.back()));
  norm_up_ = body.register_module("norm_up", std::make_shared<LayerNorm>(w[0]));
  up_ = body.register_module("up", std::make_shared<PatchExpand2d>(w[0], s.patch, w[0]));
  output_ = body.register_module("output", conv(2, w[0], s.classes, 1, {.bias = false}));
  start_as_vmamba(*this);
}

std::vector<torch::Tensor> MambaUnet::scores(const torch::Tensor& input) {
  const std::vector<torch::Tensor> skips = encoder_->entering(input);
  torch::Tensor x = norm_->forward(skips.back());
  if (first_up_) x = first_up_->forward(x);
  for (size_t i = 0; i < decoder_.size(); ++i)
    x = decoder_[i]->forward(join_[i]->forward(torch::cat({x, skips[decoder_.size() - 1 - i]}, -1)));
  return {output_->forward(up_->forward(norm_up_->forward(x)).permute({0, 3, 1, 2}))};
}

Json official_settings(const Json& a) {
  MambaUnetSettings s;
  s.in_channels = argument<int64_t>(a, "in_chans", 3);
  s.classes = argument<int64_t>(a, "num_classes", 4);
  s.widths = argument(a, "dims", s.widths);
  s.depths = argument<std::vector<int64_t>>(a, "depths", {2, 2, 9, 2});
  s.states = argument<int64_t>(a, "d_state", 16);
  s.drop_path = argument(a, "drop_path_rate", 0.1);
  return to_json(s);
}

}  // namespace

NetworkEntry mamba_unet_entry() {
  return hybrid_entry<MambaUnetSettings>(
      {.name = "mamba_unet",
       .dims = {2},
       .source = "Wang et al.: Mamba-UNet: UNet-Like Pure Visual Mamba for Medical Image Segmentation, 2024; "
                 "github.com/ziyangwang007/Mamba-UNet",
       .summary = "Swin-Unet's layout with four-directional selective scans, skips joined and projected back",
       .parameters = 19'121'664,
       .small =
           R"({"classes": 3, "widths": [8, 16, 32, 64], "depths": [1, 1, 1, 1], "states": 4, "drop_path": 0.0})",
       .small_edge = 32,
       .official = {{"ziyangwang007/Mamba-UNet", "MambaUnet(VSSM)", official_settings}}},
      [](const MambaUnetSettings& s) { return std::make_shared<MambaUnet>(s); });
}

}  // namespace mambaseg
