// Swin Transformer's classifier, trained on ImageNet (Liu et al. 2021; github.com/microsoft/Swin-Transformer:
// swin_tiny_patch4_window7_224.pth), from which Swin-Unet starts: encoder, and mirrored decoder.

#include "mambaseg/nets/pretrained/pretrained.h"

namespace mambaseg {
namespace {

std::vector<PlacedWeight> placed(const std::string& network, const Weights& published, const Weights&) {
  std::vector<PlacedWeight> out;
  if (network != "swin_unet") return out;
  for (const auto& [entry, value] : published) {
    out.push_back({entry, entry, value});
    if (entry.starts_with("layers.") && entry.size() > 8 && entry[7] >= '0' && entry[7] <= '3')
      out.push_back({entry, concat("layers_up.", '3' - entry[7], entry.substr(8)), value});
  }
  return out;
}

}  // namespace

PretrainedEncoder swin_encoder() { return {"Swin-tiny", "swin_tiny_patch4_window7_224.pth", placed}; }

}  // namespace mambaseg
