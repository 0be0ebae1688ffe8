// Swin-UMamba dagger (Liu et al. 2024, class SwinUMambaD), after its public code, whose module names it
// keeps: VMamba's encoder, and a decoder of the same blocks in place of Swin-UMamba's convolutions. The
// widths are a setting.

#include "mambaseg/nets/blocks/swin_umamba_d.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

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
