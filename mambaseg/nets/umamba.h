#pragma once

#include "mambaseg/nets/blocks/layers.h"
#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/network.h"

namespace mambaseg {

/// Layer norm and Mamba on the voxels in raster order, the result in place of the features: the official
/// layer has no residual around it. With `channel_tokens` the channels are the sequence and each token holds
/// all voxels. In fp32. Prefixes "norm", "mamba".
class UMambaLayer : public torch::nn::Module {
 public:
  /// `mamba.width` is the number of channels, or of voxels with channel tokens.
  UMambaLayer(const MambaSettings& mamba, bool channel_tokens);
  /// x (B, C, spatial...) -> the same sizes. Error when channel tokens meet another number of voxels.
  torch::Tensor forward(const torch::Tensor& x);

 private:
  int64_t width_;
  bool channel_tokens_;
  LayerNorm norm_{nullptr};
  std::shared_ptr<Mamba> mamba_;
};

struct UMambaSettings : UNetShape {
  std::vector<int64_t> convolutions{2};
  std::vector<int64_t> decoder_convolutions{2};
  bool mamba = true;
  template <class Visitor>
  void describe(Visitor& visit) {
    UNetShape::describe(visit);
    visit("convolutions", convolutions,
          "residual blocks of each encoder stage, one number stands for all; the second half of the stages "
          "has one "
          "block whatever is said here, as in the official code",
          at_least(1));
    visit("decoder_convolutions", decoder_convolutions,
          "residual blocks of each decoder stage, coarsest first, one number stands for all; the last stages "
          "have one",
          at_least(1));
    visit("mamba", mamba, "false: the same network without its Mamba layers");
  }
};

struct UMambaEncSettings : UMambaSettings {
  Extent patch;
  template <class Visitor>
  void describe(Visitor& visit) {
    UMambaSettings::describe(visit);
    visit("patch", patch,
          "input size the network is made for; empty: 128 along each axis. A stage with no more voxels than "
          "channels takes "
          "its channels as tokens and then accepts this size only",
          at_least(1));
  }
};

std::shared_ptr<Network> make_umamba_bot(const UMambaSettings& settings);
std::shared_ptr<Network> make_umamba_enc(const UMambaEncSettings& settings);

NetworkEntry umamba_bot_entry();
NetworkEntry umamba_enc_entry();

}  // namespace mambaseg
