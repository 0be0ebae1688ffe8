// Swin-UMamba: Mamba-based UNet with ImageNet-based pretraining (Liu et al. 2024), after its public code,
// whose module names it keeps: a strided stem and VMamba's encoder on patches of 2 x 2, every scale through a
// residual block into UNETR's convolutional decoder. The widths are a setting.

#include <algorithm>
#include <utility>

#include "mambaseg/nets/blocks/unetr_blocks.h"
#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

struct SwinUMambaSettings : VssEncoderSettings {
  int64_t classes = 13;
  int64_t stem_width = 48;
  bool deep_supervision = true;

  SwinUMambaSettings() {
    in_channels = 1;
    depths = {2, 2, 9, 2};
    patch = 2;
    merging_is_apart = true;
  }
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("stem_width", stem_width, "channels at full and at half resolution", at_least(1));
    VssEncoderSettings::describe(visit);
    visit("deep_supervision", deep_supervision, "scores of the coarser scales too while training");
  }
};

class SwinUMamba : public Network {
 public:
  explicit SwinUMamba(const SwinUMambaSettings& settings);
  Extent size_multiples() const override { return cube(2, 2 * settings_.size_multiples()[0]); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  SwinUMambaSettings settings_;
  std::shared_ptr<Sequence> stem_;
  std::shared_ptr<VssEncoder> encoder_;
  std::vector<std::shared_ptr<UnetrBasicBlock>> skips_;  ///< full resolution first
  std::vector<std::shared_ptr<UnetrUpBlock>> ups_;       ///< full resolution first
  std::shared_ptr<UnetrBasicBlock> last_;
  std::vector<std::shared_ptr<Layer>> heads_;  ///< full resolution first
};

SwinUMamba::SwinUMamba(const SwinUMambaSettings& s) : settings_(s) {
  VssEncoderSettings encoder = s;
  encoder.in_channels = s.stem_width;
  std::vector<int64_t> widths = s.widths;
  widths.insert(widths.begin(), s.stem_width);
  stem_ = register_module("stem", sequence({conv(2, s.in_channels, s.stem_width, 7, {.stride = cube(2, 2)}),
                                            std::make_shared<InstanceNorm>(s.stem_width)}));
  encoder_ = register_module("vssm_encoder", std::make_shared<VssEncoder>(encoder));
  start_as_vmamba(*encoder_);
  for (size_t i = 0; i < widths.size(); ++i) {
    const int64_t in = i == 0 ? s.in_channels : widths[i - 1];
    const int64_t below = widths[std::min(i + 1, widths.size() - 1)];
    skips_.push_back(register_module("encoder" + std::to_string(i + 1),
                                     std::make_shared<UnetrBasicBlock>(2, in, widths[i])));
    ups_.push_back(register_module("decoder" + std::to_string(i + 2),
                                   std::make_shared<UnetrUpBlock>(2, below, widths[i])));
    if (i + 1 < widths.size()) heads_.push_back(unetr_head(2, widths[i], s.classes));
  }
  last_ = register_module("decoder1", std::make_shared<UnetrBasicBlock>(2, widths[0], widths[0]));
  register_list(*this, "out_layers", heads_);
}

std::vector<torch::Tensor> SwinUMamba::scores(const torch::Tensor& input) {
  const bool all = wants_all_scales() && settings_.deep_supervision;
  const torch::Tensor half = stem_->forward(input);
  std::vector<torch::Tensor> features = encoder_->leaving(half);
  torch::Tensor x = features.back().permute({0, 3, 1, 2});
  std::vector<torch::Tensor> out;
  for (size_t i = ups_.size(); i-- > 0;) {
    const torch::Tensor from = i == 0   ? input
                               : i == 1 ? half
                                        : std::exchange(features[i - 2], {}).permute({0, 3, 1, 2});
    x = ups_[i]->forward(x, skips_[i]->forward(from));
    if (i == 0) x = last_->forward(x);
    if (i == 0 || (all && i < heads_.size())) out.push_back(heads_[i]->forward(x));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

Json official_settings(const Json& a) {
  SwinUMambaSettings s;
  s.in_channels = argument<int64_t>(a, "in_chans", 1);
  s.classes = argument<int64_t>(a, "out_chans", 13);
  auto widths = argument<std::vector<int64_t>>(a, "feat_size", {48, 96, 192, 384, 768});
  s.stem_width = widths.at(0);
  s.widths.assign(widths.begin() + 1, widths.end());
  s.depths = argument(a, "depths", s.depths);
  s.states = argument<int64_t>(a, "d_state", 16);
  s.deep_supervision = argument(a, "deep_supervision", false);
  return to_json(s);
}

}  // namespace

NetworkEntry swin_umamba_entry() {
  return hybrid_entry<SwinUMambaSettings>(
      {.name = "swin_umamba",
       .dims = {2},
       .source = "Liu et al.: Swin-UMamba: Mamba-based UNet with ImageNet-based pretraining, 2024; "
                 "github.com/JiarunLiu/Swin-UMamba",
       .summary = "VMamba's encoder behind a strided stem, convolutional decoder of UNETR",
       .parameters = 59'888'644,
       .small =
           R"({"classes": 3, "stem_width": 4, "widths": [6, 12, 24, 48], "depths": [1, 1, 1, 1], "states": 2,
                    "drop_path": 0.0})",
       .small_edge = 64,
       .official = {{"JiarunLiu/Swin-UMamba", "SwinUMamba", official_settings}}},
      [](const SwinUMambaSettings& s) { return std::make_shared<SwinUMamba>(s); });
}

}  // namespace mambaseg
