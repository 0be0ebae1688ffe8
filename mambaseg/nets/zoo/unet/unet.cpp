// U-Net (Ronneberger, Fischer, Brox 2015) as the field runs it today: padded convolutions, batch norm; after
// github.com/milesial/Pytorch-UNet, whose module names it keeps.

#include "mambaseg/nets/blocks/unet2d.h"

namespace mambaseg {
namespace {

struct PlainUnetSettings : UnetSettings {
  bool bilinear = false;
  void describe(SettingsVisitor& visit) {
    UnetSettings::describe(visit);
    visit("bilinear", bilinear, "grow by interpolation, with half the channels at the bottom and behind it");
  }
};

Json official_settings(const Json& a) {
  PlainUnetSettings s;
  s.bilinear = argument(a, "bilinear", false);
  s.in_channels = a.at("n_channels");
  s.classes = a.at("n_classes");
  return to_json(s);
}

}  // namespace

NetworkEntry unet_entry() {
  return network_entry<PlainUnetSettings>(
      {.name = "unet",
       .dims = {2},
       .source = "Ronneberger, Fischer, Brox: U-Net, 2015; github.com/milesial/Pytorch-UNet",
       .summary = "2-D U-Net with batch norm and transposed convolutions",
       .parameters = 31'037'633,
       .small = R"({"classes": 3, "widths": [4, 8, 12]})",
       .small_edge = 16,
       .official = {{"milesial/Pytorch-UNet", "UNet", official_settings}}},
      [](const PlainUnetSettings& s) {
        return std::make_shared<Unet>(s, UnetExtra(),
                                      s.bilinear ? UnetGrowth::bilinear : UnetGrowth::transposed);
      });
}

}  // namespace mambaseg
