// nnU-Net's plain U-Net (Isensee et al. 2021; PlainConvUNet of dynamic-network-architectures): stages of
// convolution, instance norm and leaky ReLU, strided convolutions down, transposed convolutions up. 2-D or
// 3-D. The default is the plan of a 128^3 patch; other plans are other features, kernels and strides.

#include "mambaseg/nets/blocks/plain_unet.h"

namespace mambaseg {
namespace {

Json official_settings(const Json& arguments) {
  PlainUNetSettings s;
  read_plain_unet_arguments(arguments, s);
  return to_json(s);
}

}  // namespace

NetworkEntry plain_unet_entry() {
  return network_entry<PlainUNetSettings>(
      {.name = "plain_unet",
       .dims = {3, 2},
       .source = "Isensee et al.: nnU-Net, Nature Methods 2021, github.com/MIC-DKFZ/nnUNet",
       .summary = "nnU-Net's plain U-Net",
       .parameters = 31'195'594,
       .small = R"({"classes": 3, "features": [4, 6, 8], "convolutions": [2, 1, 1]})",
       .small_edge = 8,
       .official = {{"MIC-DKFZ/dynamic-network-architectures", "PlainConvUNet", official_settings, nullptr,
                     nnunet_name}}},
      [](const PlainUNetSettings& s) { return std::make_shared<PlainUNet>(s); });
}

}  // namespace mambaseg
