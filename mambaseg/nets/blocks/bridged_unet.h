#pragma once

#include <functional>

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// What the networks in MALUNet's frame have in common.
struct BridgedUnetSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  std::vector<int64_t> widths{8, 16, 24, 32, 48, 64};
  bool bridge = true;
  std::string split = "linear";

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the six scales, multiples of 4", at_least(4));
    visit("bridge", bridge, "spatial and channel attention over all skips");
    visit("split", split, "how the channel attention is made for each skip",
          one_of({"linear", "convolution"}));
  }
};

class ScBridge;

/// The frame of MALUNet (Ruan et al. 2022) that UltraLight VM-UNet and H-vmunet kept: a U-Net of six scales
/// with group norm, max pooling and GELU behind the layers of each, whose skips are added behind attention
/// over places and channels of them all (SC bridge). The scores are those of half resolution, interpolated.
/// Prefixes "encoder1" to "encoder6", "decoder1" (coarsest) to "decoder5", "ebn", "dbn", "scab", "final".
class BridgedUnet : public Network {
 public:
  /// The layers of a scale, 0 the finest, from `in` to `out` channels, in the encoder or the decoder.
  using MakeStage =
      std::function<std::shared_ptr<Sequence>(size_t scale, int64_t in, int64_t out, bool decoder)>;
  /// UsageError unless there are six widths, multiples of 4.
  BridgedUnet(const BridgedUnetSettings& settings, const MakeStage& make);
  Extent size_multiples() const override;

 protected:
  /// Observers see "logits" at half resolution.
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  /// As the official classes do for every linear layer and convolution, those inside Mamba too.
  void start();

  std::vector<std::shared_ptr<Sequence>> encoder_;  ///< finest first
  std::vector<std::shared_ptr<Sequence>> decoder_;  ///< coarsest first
  std::vector<std::shared_ptr<GroupNorm>> encoder_norms_, decoder_norms_;
  std::shared_ptr<ScBridge> bridge_;
  std::shared_ptr<Convolution> final_;
};

/// What the official constructors in this frame share: input_channels, num_classes, c_list, split_att,
/// bridge.
void read_bridged_arguments(const Json& arguments, BridgedUnetSettings& settings);

}  // namespace mambaseg
