#pragma once

#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/network.h"

namespace mambaseg {

struct PlainUNetSettings : UNetShape {
  std::vector<int64_t> convolutions{2};
  std::vector<int64_t> decoder_convolutions{2};
  template <class Visitor>
  void describe(Visitor& visit) {
    UNetShape::describe(visit);
    visit("convolutions", convolutions, "convolutions of each encoder stage; one number stands for all",
          at_least(1));
    visit("decoder_convolutions", decoder_convolutions,
          "convolutions of each decoder stage, coarsest first; one number stands for all", at_least(1));
  }
};

std::shared_ptr<Network> make_plain_unet(const PlainUNetSettings& settings);

NetworkEntry plain_unet_entry();

}  // namespace mambaseg
