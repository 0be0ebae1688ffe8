// LoG-VMamba (Dang, Nguyen, Tiulpin 2024) in the plane, after its public code, whose module names it keeps
// (class SwinUMambaD there): Swin-UMamba dagger whose decoder scans tokens that carry their neighbourhood and
// tokens of the whole plane. The published factory switches both off, which leaves Swin-UMamba dagger; here
// they are on. Made for one size there; here, on other sizes than `patch`, the maps of the global tokens are
// interpolated to the grid that they have there.

#include <algorithm>

#include "mambaseg/nets/blocks/local_global_scan.h"
#include "mambaseg/nets/blocks/swin_umamba_d.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

struct LogVmamba2dSettings : SwinUMambaDSettings {
  Extent image{512, 512};
  std::vector<int64_t> local_stages{0, 1, 2};
  std::vector<int64_t> global_strides{2, 2, 4};
  std::vector<int64_t> global_squeezes{2, 1, 1};
  std::string place = "even";

  LogVmamba2dSettings() {
    in_channels = 3;
    classes = 1;
  }
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    VssEncoderSettings::describe(visit);
    visit("decoder_depth", decoder_depth, "blocks in each stage of the decoder", at_least(0));
    visit("deep_supervision", deep_supervision, "scores of the coarser scales too while training");
    visit("image", image, "input size whose grids of global tokens the network is made for", at_least(1));
    visit("local_stages", local_stages,
          "decoder stages whose tokens carry their neighbourhood; 0 is the coarsest", at_least(0));
    visit("global_strides", global_strides,
          "stride of the convolution that looks at each decoder stage's grid for global tokens, coarsest "
          "first; "
          "0: none",
          between(0, 8));
    visit("global_squeezes", global_squeezes,
          "channels of the tokens / number of global tokens, each decoder stage", at_least(1));
    visit("place", place, "where the global tokens stand among the others",
          one_of({"head", "center", "split", "even"}));
  }
};

/// Blocks one after the other. Prefix "blocks".
class LocalGlobalStage : public Layer {
 public:
  LocalGlobalStage(const LocalGlobalSettings& s, const std::vector<double>& chances) {
    for (const double chance : chances)
      blocks_.push_back(std::make_shared<LocalGlobalBlock>(s, "ln_1", 1e-5, chance));
    register_list(*this, "blocks", blocks_);
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor y = x;
    for (const auto& block : blocks_) y = block->forward(y);
    return y;
  }

 private:
  std::vector<std::shared_ptr<LocalGlobalBlock>> blocks_;
};

std::shared_ptr<Network> make(const LogVmamba2dSettings& s) {
  s.check();
  const size_t stages = s.widths.size() - 1;
  if (s.global_strides.size() != stages || s.global_squeezes.size() != stages)
    throw UsageError(concat("global_strides and global_squeezes: expected ", stages, " numbers each, got ",
                            s.global_strides.size(), " and ", s.global_squeezes.size()));
  if (s.image.size() != 2) throw UsageError(concat("image: expected 2 numbers, got ", s.image.size()));
  const auto stage = [&](size_t i, int64_t width,
                         const std::vector<double>& chances) -> std::shared_ptr<Layer> {
    LocalGlobalSettings mixer{.dims = 2, .width = width, .states = s.states, .expand = 2};
    mixer.local = std::count(s.local_stages.begin(), s.local_stages.end(), static_cast<int64_t>(i)) > 0;
    mixer.global = s.global_strides[i] > 0;
    mixer.stride = std::max<int64_t>(s.global_strides[i], 1);
    mixer.squeeze = s.global_squeezes[i];
    mixer.place = s.place;
    for (const int64_t edge : s.image)
      mixer.positions.push_back(std::max<int64_t>(1, (edge / (s.patch << (stages - 1 - i))) / mixer.stride));
    if (!mixer.local && !mixer.global) return std::make_shared<VssStage>(width, s.states, chances);
    return std::make_shared<LocalGlobalStage>(mixer, chances);
  };
  return std::make_shared<SwinUMambaD>(s, stage);
}

/// Sizes at which a convolution leaves as many positions, a step apart, as near to a square as halving goes:
/// the official arguments do not say more.
Extent picture_with(int64_t positions, int64_t step) {
  int64_t rows = 1;
  while (4 * rows * rows <= positions && positions % (2 * rows) == 0) rows *= 2;
  return {rows * step, positions / rows * step};
}

Json official_settings(const Json& a) {
  LogVmamba2dSettings s;
  const Json& encoder = a.at("vss_args");
  const Json& decoder = a.at("decoder_args");
  s.in_channels = argument<int64_t>(encoder, "in_chans", 3);
  s.widths = argument(encoder, "dims", s.widths);
  s.depths = argument(encoder, "depths", s.depths);
  s.states = argument<int64_t>(decoder, "d_state", 16);
  s.drop_path = argument(encoder, "drop_path_rate", s.drop_path);
  s.classes = decoder.at("num_classes");
  s.deep_supervision = argument(decoder, "deep_supervision", true);
  s.place = argument<std::string>(decoder, "mode", "even");
  const size_t stages = s.widths.size() - 1;
  const auto local = argument(decoder, "use_convs", std::vector<bool>(stages, false)),
             global = argument(decoder, "use_depths", std::vector<bool>(stages, false));
  s.global_strides = argument(decoder, "depth_stride_configs", s.global_strides);
  s.global_squeezes = argument(decoder, "depth_squeeze_factors", s.global_squeezes);
  s.local_stages.clear();
  for (size_t i = 0; i < stages; ++i) {
    if (local[i]) s.local_stages.push_back(static_cast<int64_t>(i));
    if (!global[i]) s.global_strides[i] = 0;
  }
  const auto positions =
      argument(decoder, "depth_stride_output_sizes", std::vector<int64_t>{256, 1024, 1024});
  for (size_t i = stages; i-- > 0;)
    if (s.global_strides[i] > 0)
      s.image = picture_with(positions[i], s.global_strides[i] * (s.patch << (stages - 1 - i)));
  return to_json(s);
}

}  // namespace

NetworkEntry log_vmamba_2d_entry() {
  return hybrid_entry<LogVmamba2dSettings>(
      {.name = "log_vmamba_2d",
       .dims = {2},
       .source =
           "Dang, Nguyen, Tiulpin: LoG-VMamba: Local-Global Vision Mamba for Medical Image Segmentation, "
           "2024; github.com/Oulu-IMEDS/LoG-VMamba",
       .summary = "Swin-UMamba with scans of tokens that carry their neighbourhood, and of tokens of the "
                  "whole plane",
       .parameters = 30'389'092,
       .small = R"({"classes": 3, "widths": [8, 16, 32], "depths": [1, 1, 1], "decoder_depth": 1, "states": 2,
                    "image": [32, 32], "local_stages": [0, 1], "global_strides": [1, 2],
                    "global_squeezes": [4, 2], "drop_path": 0.0})",
       .small_edge = 32,
       .official = {{"Oulu-IMEDS/LoG-VMamba", "SwinUMambaD", official_settings}}},
      [](const LogVmamba2dSettings& s) { return make(s); });
}

}  // namespace mambaseg
