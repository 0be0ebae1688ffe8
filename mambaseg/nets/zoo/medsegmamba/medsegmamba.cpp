// MedSegMamba: 3D CNN-Mamba Hybrid Architecture for Brain Segmentation (Cao, Li, Guo 2024), after its public
// code. A residual U-Net whose bottleneck is a stack of selective scan blocks at 1/8 resolution: each block
// reads its tokens along eight walks, and six orientations in turn cover all 48 ways to lay the axes of a
// cube. The bottlenecks that the code also offers (other walks, attention) are settings. Unlike there, grids
// of any size work.

#include "mambaseg/nets/blocks/medsegmamba_bottleneck.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

/// Arguments of MedSegMamba.__init__; there the whole shape of the shell is one list.
Json official_settings(const Json& a) {
  MedSegMambaSettings s;
  const std::string version = a.contains("vss_version") && a["vss_version"].is_null()
                                  ? "vanilla"
                                  : argument<std::string>(a, "vss_version", "v5");
  s.bottleneck = version == "TABSurfer" ? "transformer" : version;
  s.expand = argument<double>(a, "ssm_expansion_factor", 1);
  s.mlp_ratio = static_cast<int64_t>(s.expand);
  s.walk = argument<std::string>(a, "scan_type", "scan") == "sweep" ? "sweep" : "snake";
  const auto channels = argument<std::vector<int64_t>>(a, "channel_sizes", {1, 32, 64, 128, 256, 1024});
  if (channels.size() != 6)
    throw UsageError(concat("channel_sizes: expected 6 numbers, got ", channels.size()));
  s.preactivation = argument(a, "preact", false);
  s.in_channels = s.preactivation ? argument<int64_t>(a, "img_ch", 1) : channels[0];
  s.widths.assign(channels.begin() + 1, channels.begin() + 5);
  s.token_width = channels[5];
  s.classes = argument<int64_t>(a, "output_ch", 32);
  s.states = argument<int64_t>(a, "mamba_d_state", 64);
  s.layers = argument<int64_t>(a, "num_layers", 9);
  s.plain_identity = argument(a, "id", false);
  s.max_pool = argument(a, "maxpool", true);
  s.nearest_up = argument(a, "upsample", true);
  s.full_final_block = argument(a, "full_final_block", true);
  s.edge = argument<int64_t>(a, "img_dim", 96);
  return to_json(s);
}

torch::Tensor softmax(const torch::Tensor& scores) { return scores.softmax(1); }

}  // namespace

NetworkEntry medsegmamba_entry() {
  return hybrid_entry<MedSegMambaSettings>(
      {.name = "medsegmamba",
       .dims = {3},
       .source = "Cao, Li, Guo: MedSegMamba: 3D CNN-Mamba Hybrid Architecture for Brain Segmentation, 2024; "
                 "github.com/aaroncao06/MedSegMamba",
       .summary = "Residual U-Net with a bottleneck of 48-directional selective scans",
       .parameters = 84'400'736,
       .small =
           R"({"classes": 3, "widths": [8, 16, 24, 32], "token_width": 12, "layers": 2, "states": 4, "drop_path": 0.0})",
       .small_edge = 16,
       .official = {{"aaroncao06/MedSegMamba", "MedSegMamba", official_settings, softmax}}},
      [](const MedSegMambaSettings& s) {
        return std::make_shared<MedSegMamba>(s, make_medsegmamba_bottleneck(s));
      });
}

}  // namespace mambaseg
