#pragma once

#include <functional>

#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {

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

/// What the decoder's stage has between joining its skip and the next growth: stage number (coarsest first),
/// width, chances that a block's branch is left out, one a block.
using MakeVssStage =
    std::function<std::shared_ptr<Layer>(size_t stage, int64_t width, const std::vector<double>& chances)>;

/// Swin-UMamba dagger (Liu et al. 2024, class SwinUMambaD), module names included: VMamba's encoder and a
/// decoder whose stages are what `make` gives, of the encoder's blocks where it is empty.
class SwinUMambaD : public Network {
 public:
  explicit SwinUMambaD(const SwinUMambaDSettings& settings, const MakeVssStage& make = {});
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  SwinUMambaDSettings settings_;
  std::shared_ptr<VssEncoder> encoder_;
  // Coarsest first; the last growth and head lead to full resolution.
  std::vector<std::shared_ptr<PatchExpand2d>> grow_;
  std::vector<std::shared_ptr<Linear>> join_;
  std::vector<std::shared_ptr<Layer>> stages_;
  std::vector<std::shared_ptr<Convolution>> heads_;
};

}  // namespace mambaseg
