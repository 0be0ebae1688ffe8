// UltraLight VM-UNet: Parallel Vision Mamba Significantly Reduces Parameters for Skin Lesion Segmentation (Wu
// et al. 2024), after its public code, whose module names it keeps: a U-Net of six scales, convolutions in
// the fine ones, in the coarse ones one small Mamba that reads four quarters of the channels (PVM), and
// spatial and channel attention over all skips at once (SC bridge, from MALUNet). Unlike there, forward
// returns scores before the sigmoid.

#include "mambaseg/nets/blocks/bridged_unet.h"
#include "mambaseg/nets/blocks/pvm_layer.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

constexpr size_t kConvScales = 3;  // of convolutions; the others are of PVM layers

std::shared_ptr<Sequence> stage(size_t scale, int64_t in, int64_t out) {
  if (scale < kConvScales) return sequence({conv(2, in, out, 3)});
  return sequence({std::make_shared<PvmLayer>(PvmSettings{.in = in, .out = out})});
}

Json official_settings(const Json& arguments) {
  BridgedUnetSettings s;
  read_bridged_arguments(arguments, s);
  return to_json(s);
}

torch::Tensor sigmoid(const torch::Tensor& scores) { return scores.sigmoid(); }

}  // namespace

NetworkEntry ultralight_vm_unet_entry() {
  return hybrid_entry<BridgedUnetSettings>(
      {.name = "ultralight_vm_unet",
       .dims = {2},
       .source =
           "Wu et al.: UltraLight VM-UNet: Parallel Vision Mamba Significantly Reduces Parameters for Skin "
           "Lesion Segmentation, 2024; github.com/wurenkai/UltraLight-VM-UNet",
       .summary = "49,457 parameters: convolutions in the fine scales, one small Mamba on four chunks of the "
                  "channels in the coarse ones, attention over all skips",
       .parameters = 49'457,
       .small = R"({"classes": 3, "widths": [4, 8, 8, 8, 12, 16]})",
       .small_edge = 64,
       .official = {{"wurenkai/UltraLight-VM-UNet", "UltraLight_VM_UNet", official_settings, sigmoid}}},
      [](const BridgedUnetSettings& s) {
        return std::make_shared<BridgedUnet>(
            s, [](size_t scale, int64_t in, int64_t out, bool) { return stage(scale, in, out); });
      });
}

}  // namespace mambaseg
