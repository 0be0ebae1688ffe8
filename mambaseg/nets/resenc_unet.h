#pragma once

#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/network.h"

namespace mambaseg {

struct ResencUNetSettings : UNetShape {
  std::vector<int64_t> blocks{1, 3, 4, 6, 6, 6};
  std::vector<int64_t> decoder_convolutions{1};
  bool squeeze_excitation = false;
  template <class Visitor>
  void describe(Visitor& visit) {
    UNetShape::describe(visit);
    visit("blocks", blocks, "residual blocks of each encoder stage; one number stands for all", at_least(1));
    visit("decoder_convolutions", decoder_convolutions,
          "convolutions of each decoder stage, coarsest first; one number stands for all", at_least(1));
    visit("squeeze_excitation", squeeze_excitation, "squeeze and excitation in the residual blocks");
  }
};

std::shared_ptr<Network> make_resenc_unet(const ResencUNetSettings& settings);

NetworkEntry resenc_unet_entry();

}  // namespace mambaseg
