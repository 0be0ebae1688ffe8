// VMamba's classifiers, trained on ImageNet (Liu et al. 2024, the first version; github.com/MzeroMiko/VMamba:
// vssmtiny_dp01_ckpt_epoch_292.pth, vssmsmall_...), from which networks of its blocks start.

#include "mambaseg/nets/pretrained/pretrained.h"

namespace mambaseg {
namespace {

/// "layers.I" and what follows of an entry "layers.I.rest"; false for other entries.
bool of_stage(const std::string& entry, int64_t& stage, std::string& rest) {
  if (!entry.starts_with("layers.") || entry.size() < 10 || entry[8] != '.') return false;
  stage = entry[7] - '0';
  rest = entry.substr(8);
  return stage >= 0 && stage <= 3;
}

/// VM-UNet, its second version and Mamba-UNet take all that they have under `prefix`, and each stage of the
/// encoder for the stage of the decoder at its scale, too.
std::vector<PlacedWeight> mirrored(const std::string& prefix, const Weights& published) {
  std::vector<PlacedWeight> out;
  for (const auto& [entry, value] : published) {
    out.push_back({entry, prefix + entry, value});
    int64_t stage = 0;
    std::string rest;
    if (of_stage(entry, stage, rest))
      out.push_back({entry, concat(prefix, "layers_up.", 3 - stage, rest), value});
  }
  return out;
}

/// Swin-UMamba takes the stages and mergings of the encoder alone. Its patches differ; the bias of their norm
/// is taken all the same in the version with a convolutional decoder, as the official list of what to leave
/// out names the weight twice.
std::vector<PlacedWeight> encoder_alone(const Weights& published, bool bias_of_patches) {
  std::vector<PlacedWeight> out;
  for (const auto& [entry, value] : published) {
    int64_t stage = 0;
    std::string rest;
    if (of_stage(entry, stage, rest))
      out.push_back({entry,
                     rest.starts_with(".downsample.")
                         ? concat("vssm_encoder.downsamples.", stage, rest.substr(11))
                         : "vssm_encoder." + entry,
                     value});
    else if (bias_of_patches && entry == "patch_embed.norm.bias")
      out.push_back({entry, "vssm_encoder." + entry, value});
  }
  return out;
}

std::vector<PlacedWeight> placed(const std::string& network, const Weights& published, const Weights&) {
  if (network == "vm_unet" || network == "vm_unet_v2") return mirrored("vmunet.", published);
  if (network == "mamba_unet") return mirrored("mamba_unet.", published);
  if (network == "swin_umamba") return encoder_alone(published, true);
  if (network == "swin_umamba_d") return encoder_alone(published, false);
  return {};
}

}  // namespace

PretrainedEncoder vmamba_encoder() { return {"VMamba", "vssmtiny_dp01_ckpt_epoch_292.pth", placed}; }

}  // namespace mambaseg
