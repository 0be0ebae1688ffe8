// U-Net (Ronneberger, Fischer, Brox 2015) as the field runs it today: padded convolutions, batch norm; after
// github.com/milesial/Pytorch-UNet, whose module names it keeps. Grids whose size is no multiple of 16 are
// refused instead of padded.

#include "mambaseg/nets/unet.h"

#include "mambaseg/nets/blocks/unet2d.h"

namespace mambaseg {

NetworkEntry unet_entry() {
  return {"unet",
          {2},
          "Ronneberger, Fischer, Brox: U-Net, 2015; github.com/milesial/Pytorch-UNet",
          "2-D U-Net with batch norm and transposed convolutions",
          31'037'633,
          [](const Json& settings) -> std::shared_ptr<Network> {
            return std::make_shared<Unet>(from_json<UnetSettings>(settings));
          },
          [] { return to_json(UnetSettings{}); },
          [] { return documentation<UnetSettings>(); },
          [] {
            return Json{{"classes", 3}, {"widths", {4, 8, 12}}, {"_edge", 16}};
          }};
}

}  // namespace mambaseg
