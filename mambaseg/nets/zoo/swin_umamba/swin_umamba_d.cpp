// Swin-UMamba dagger (Liu et al. 2024, class SwinUMambaD), after its public code, whose module names it
// keeps: VMamba's encoder, and a decoder of the same blocks in place of Swin-UMamba's convolutions. The
// widths are a setting.

#include <algorithm>
#include <utility>

#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

struct SwinUMambaDSettings : VssEncoderSettings {
  int64_t classes = 14;
  int64_t decoder_depth = 2;
  bool deep_supervision = true;

  SwinUMambaDSettings() {
    in_channels = 1;
    depths = {2, 2, 9, 2};
    merging_is_apart = true;
  }
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    VssEncoderSettings::describe(visit);
    visit("decoder_depth", decoder_depth, "blocks in each stage of the decoder", at_least(0));
    visit("deep_supervision", deep_supervision, "scores of the coarser scales too while training");
  }
};

class SwinUMambaD : public Network {
 public:
  explicit SwinUMambaD(const SwinUMambaDSettings& settings);
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  SwinUMambaDSettings settings_;
  std::shared_ptr<VssEncoder> encoder_;
  // Coarsest first; the last growth and head lead to full resolution.
  std::vector<std::shared_ptr<PatchExpand2d>> grow_;
  std::vector<std::shared_ptr<Linear>> join_;
  std::vector<std::shared_ptr<VssStage>> stages_;
  std::vector<std::shared_ptr<Convolution>> heads_;
};

SwinUMambaD::SwinUMambaD(const SwinUMambaDSettings& s) : settings_(s) {
  encoder_ = register_module("vssm_encoder", std::make_shared<VssEncoder>(s));
  const auto& w = s.widths;
  const std::vector<int64_t> depths(w.size() - 1, s.decoder_depth);
  std::vector<double> falling =
      rising_drop_path(static_cast<int64_t>(depths.size()) * s.decoder_depth, s.drop_path);
  std::reverse(falling.begin(), falling.end());
  const auto chances = by_scale(falling, depths);
  for (size_t i = w.size() - 1; i-- > 0;) {
    grow_.push_back(std::make_shared<PatchExpand2d>(w[i + 1], 2));
    join_.push_back(std::make_shared<Linear>(2 * w[i], w[i]));
    stages_.push_back(std::make_shared<VssStage>(w[i], s.states, chances[stages_.size()]));
    heads_.push_back(conv(2, w[i], s.classes, 1));
  }
  grow_.push_back(std::make_shared<PatchExpand2d>(w[0], s.patch, w[0]));
  heads_.push_back(conv(2, w[0], s.classes, 1));
  const auto decoder = register_module("decoder", std::make_shared<torch::nn::Module>());
  register_list(*decoder, "expand_layers", grow_);
  register_list(*decoder, "concat_back_dim", join_);
  register_list(*decoder, "stages", stages_);
  register_list(*decoder, "seg_layers", heads_);
  // The decoder's linear layers keep LibTorch's values; nnU-Net's for convolutions meet the depthwise ones
  // too.
  start_as_vmamba(*encoder_);
  for (const auto& part : modules(/*include_self=*/false))
    if (auto* convolution = dynamic_cast<Convolution*>(part.get()))
      start_weights(Start::nnunet, convolution->weight, convolution->bias);
}

std::vector<torch::Tensor> SwinUMambaD::scores(const torch::Tensor& input) {
  const bool all = wants_all_scales() && settings_.deep_supervision;
  std::vector<torch::Tensor> skips = encoder_->leaving(input), out;
  torch::Tensor x = std::exchange(skips.back(), {});
  for (size_t i = 0; i < grow_.size(); ++i) {
    const bool last = i + 1 == grow_.size();
    x = grow_[i]->forward(x);
    if (!last)
      x = stages_[i]->forward(
          join_[i]->forward(torch::cat({x, std::exchange(skips[stages_.size() - 1 - i], {})}, -1)));
    if (all || last) out.push_back(heads_[i]->forward(x.permute({0, 3, 1, 2})));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

Json official_settings(const Json& a) {
  SwinUMambaDSettings s;
  s.in_channels = argument<int64_t>(a, "in_chans", 1);
  s.classes = argument<int64_t>(a, "num_classes", 14);
  s.widths = argument(a, "dims", s.widths);
  s.depths = argument(a, "depths", s.depths);
  s.states = argument<int64_t>(a, "d_state", 16);
  s.drop_path = argument(a, "drop_path_rate", s.drop_path);
  s.deep_supervision = argument(a, "deep_supervision", true);
  return to_json(s);
}

}  // namespace

NetworkEntry swin_umamba_d_entry() {
  return hybrid_entry<SwinUMambaDSettings>(
      {.name = "swin_umamba_d",
       .dims = {2},
       .source = "Liu et al.: Swin-UMamba: Mamba-based UNet with ImageNet-based pretraining, 2024; "
                 "github.com/JiarunLiu/Swin-UMamba",
       .summary = "Swin-UMamba with a decoder of selective scans (dagger): half the parameters",
       .parameters = 27'497'720,
       .small =
           R"({"classes": 3, "widths": [8, 16, 32, 64], "depths": [1, 1, 1, 1], "decoder_depth": 1, "states": 2,
                    "drop_path": 0.0})",
       .small_edge = 32,
       .official = {{"JiarunLiu/Swin-UMamba", "SwinUMambaD", official_settings}}},
      [](const SwinUMambaDSettings& s) { return std::make_shared<SwinUMambaD>(s); });
}

}  // namespace mambaseg
