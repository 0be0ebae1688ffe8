#pragma once

#include "mambaseg/config/config.h"
#include "mambaseg/nets/blocks/patch2d.h"
#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/layers/dropping.h"

/// What the networks around VMamba's first encoder share (VM-UNet, VM-UNetV2, Mamba-UNet, Swin-UMamba).
namespace mambaseg {

/// VssBlock2d one after the other on tokens (B, Y, X, width), one for each number of `drop_path`. Prefix
/// "blocks".
class VssStage : public Layer {
 public:
  VssStage(int64_t width, int64_t states, const std::vector<double>& drop_path);
  /// Patch merging behind the blocks. Prefix "downsample".
  void halve_behind();
  /// Patch expanding to `width` before the blocks, or from it behind them. Prefix "upsample".
  void double_before();
  void double_behind();
  torch::Tensor forward(const torch::Tensor& x_BYXC) override;

 private:
  int64_t width_;
  std::vector<std::shared_ptr<VssBlock2d>> blocks_;
  std::shared_ptr<Layer> before_, behind_;
};

/// An encoder's settings, and the base of those of a network around it.
struct VssEncoderSettings {
  int64_t in_channels = 3;
  std::vector<int64_t> widths{96, 192, 384, 768};
  std::vector<int64_t> depths{2, 2, 2, 2};
  int64_t states = 16;
  double drop_path = 0.2;
  int64_t patch = 4;              ///< edge of the patches that become tokens
  bool grey_as_three = false;     ///< an image of one channel is repeated to three
  bool merging_is_apart = false;  ///< modules are named downsamples.i instead of layers.i.downsample

  /// All but in_channels and how the network is built.
  void describe(SettingsVisitor& visit) {
    visit("widths", widths, "channels of the scales, as many as there are, each twice the one before",
          at_least(1));
    visit("depths", depths, "blocks in the encoder's stages, finest first", at_least(0));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("drop_path", drop_path,
          "training: chance that the deepest block's branch is left out for a sample; falls to 0 towards the "
          "finest",
          between(0, 1));
  }

  /// UsageError unless each width is twice the one before and there is one depth a scale.
  void check() const;
  /// What each size must be a multiple of.
  Extent size_multiples() const { return cube(2, patch << (widths.size() - 1)); }
};

/// Patches become tokens, then scales of blocks, between which 2 x 2 tokens are merged. Prefixes
/// "patch_embed", "layers" and, where merging is apart, "downsamples".
class VssEncoder : public Module {
 public:
  explicit VssEncoder(const VssEncoderSettings& settings);
  /// x (B, in_channels, Y, X) -> what enters the blocks of each scale, finest first, and what leaves the last
  /// ones: (B, Y, X, width). Without `last` what enters alone, and the last blocks are not computed.
  std::vector<torch::Tensor> entering(const torch::Tensor& x_BCYX, bool last = true);
  /// What leaves the blocks of each scale.
  std::vector<torch::Tensor> leaving(const torch::Tensor& x_BCYX);

 private:
  torch::Tensor embedded(const torch::Tensor& x_BCYX);

  bool grey_as_three_;
  std::shared_ptr<PatchEmbed2d> patch_embed_;
  std::vector<std::shared_ptr<VssStage>> layers_;
  std::vector<std::shared_ptr<PatchMerging2d>> merging_;  ///< where it is apart
};

/// The chances of each scale out of those of all blocks, which follow each other.
std::vector<std::vector<double>> by_scale(const std::vector<double>& chances,
                                          const std::vector<int64_t>& depths);

/// Linear layers start as in VMamba: normal of deviation 0.02 (cut there at a hundred deviations), bias 0.
void start_as_vmamba(torch::nn::Module& module);

}  // namespace mambaseg
