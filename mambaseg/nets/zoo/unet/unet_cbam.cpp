// U-Net + CBAM, a comparison network of the HyM-UNet paper (arXiv 2511.17988, table 2). The paper does not
// say where the modules sit: here a convolutional block attention module (Woo et al. 2018, reduction 16, 7x7)
// follows every double convolution of the encoder.

#include "mambaseg/nets/blocks/conv_block_attention.h"
#include "mambaseg/nets/blocks/unet2d.h"

namespace mambaseg {
namespace {

struct UnetCbamSettings : UnetSettings {
  std::vector<int64_t> stages{1, 2, 3, 4, 5};
  int64_t reduction = 16;
  int64_t kernel = 7;

  void describe(SettingsVisitor& visit) {
    UnetSettings::describe(visit);
    visit("stages", stages, "encoder stages with a module, 1 is the finest", at_least(1));
    visit("reduction", reduction, "channels / channels inside the channel attention", at_least(1));
    visit("kernel", kernel, "edge of the spatial attention's convolution, odd", at_least(1));
  }
};

}  // namespace

NetworkEntry unet_cbam_entry() {
  return network_entry<UnetCbamSettings>(
      {.name = "unet_cbam",
       .dims = {2},
       .source = "U-Net + CBAM of the HyM-UNet paper, arXiv 2511.17988; Woo et al.: CBAM, 2018",
       .summary = "2-D U-Net with channel and spatial attention in the encoder",
       .parameters = 31'214'833,
       .small = R"({"classes": 3, "widths": [8, 12, 16], "stages": [1, 3], "reduction": 2, "kernel": 3})",
       .small_edge = 16},
      [](const UnetCbamSettings& s) {
        return std::make_shared<Unet>(
            s, UnetExtra{"cbam", s.stages, [&](int64_t channels) {
                           return std::make_shared<ConvBlockAttention>(
                               ConvBlockAttentionSettings{channels, s.reduction, s.kernel});
                         }});
      });
}

}  // namespace mambaseg
