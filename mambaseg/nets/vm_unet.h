#pragma once

#include "mambaseg/nets/blocks/patch2d.h"
#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/network.h"

namespace mambaseg {

/// The defaults are those of the repository's configuration for skin lesions.
struct VmUnetSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  std::vector<int64_t> widths{96, 192, 384, 768};
  std::vector<int64_t> depths{2, 2, 2, 2};
  std::vector<int64_t> decoder_depths{2, 2, 2, 1};
  int64_t states = 16;
  double drop_path = 0.2;

  template <class Visitor>
  void describe(Visitor& visit) {
    visit("in_channels", in_channels, "image channels; one (grey) is repeated to three", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the scales, as many as there are, each twice the one before",
          at_least(1));
    visit("depths", depths, "blocks in the encoder's stages, finest first", at_least(0));
    visit("decoder_depths", decoder_depths, "blocks in the decoder's stages, coarsest first", at_least(0));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("drop_path", drop_path,
          "training: chance that the deepest block's branch is left out for a sample; falls to 0 towards the "
          "finest",
          between(0, 1));
  }
};

/// VM-UNet (Ruan, Li, Xiang 2024).
class VmUnet : public Network {
 public:
  explicit VmUnet(const VmUnetSettings& settings);
  std::vector<torch::Tensor> forward(const torch::Tensor& x_BCYX) override;
  int64_t size_multiple() const override;

 private:
  struct Stage {
    std::shared_ptr<PatchMerging2d> down;  ///< after the blocks, or null
    std::shared_ptr<PatchExpand2d> up;     ///< before the blocks, or null
    std::vector<std::shared_ptr<VssBlock2d>> blocks;
    torch::Tensor forward(const torch::Tensor& x_BYXC) const;
  };

  VmUnetSettings settings_;
  std::shared_ptr<PatchEmbed2d> patch_embed_;
  std::vector<Stage> encoder_, decoder_;
  std::shared_ptr<PatchExpand2d> final_up_;
  Conv2d final_conv_{nullptr};
};

NetworkEntry vm_unet_entry();

}  // namespace mambaseg
