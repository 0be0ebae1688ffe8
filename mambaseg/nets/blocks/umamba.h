#pragma once

#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/model/network.h"

/// What both variants of U-Mamba (Ma, Li, Wang 2024) share, in 2-D and 3-D: a U-Net of residual blocks in
/// nnU-Net's frame. As the official code, not as one might write it: stages of the second half have one
/// block, the stem is a stage of its own at full resolution, the 2-D decoder does not take the
/// full-resolution skip.
namespace mambaseg {

/// Layer norm and Mamba on the voxels in raster order, the result in place of the features: the official
/// layer has no residual around it. With `channel_tokens` the channels are the sequence and each token holds
/// all voxels. In fp32. Prefixes "norm", "mamba".
class UMambaLayer : public Layer {
 public:
  /// `mamba.width` is the number of channels, or of voxels with channel tokens.
  UMambaLayer(const MambaSettings& mamba, bool channel_tokens);
  /// x (B, C, spatial...) -> the same sizes. Error when channel tokens meet another number of voxels.
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  int64_t width_;
  bool channel_tokens_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Mamba> mamba_;
};

struct UMambaSettings : UNetShape {
  std::vector<int64_t> convolutions{2};
  std::vector<int64_t> decoder_convolutions{2};
  bool mamba = true;
  void describe(SettingsVisitor& visit) {
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

/// The settings that the arguments of both official constructors give.
void read_umamba_arguments(const Json& arguments, UMambaSettings& settings);

/// Stem and stages; Mamba layers may stand behind stages. Prefixes "stem", "stages", "mamba_layers".
class UMambaEncoder : public Module {
 public:
  /// `layers`: one a stage, null for none; or empty.
  UMambaEncoder(const UMambaSettings& settings, std::vector<std::shared_ptr<UMambaLayer>> layers);
  /// The output of every stage, full resolution first.
  std::vector<torch::Tensor> forward(const torch::Tensor& x);

 private:
  std::shared_ptr<Layer> stem_;
  std::vector<std::shared_ptr<Layer>> stages_;
  std::vector<std::shared_ptr<UMambaLayer>> layers_;
};

class UMambaDecoder;

/// Encoder, decoder, and a Mamba layer on the deepest features where `bottleneck` is not null.
class UMamba : public Network {
 public:
  UMamba(const UMambaSettings& settings, std::vector<std::shared_ptr<UMambaLayer>> layers,
         std::shared_ptr<UMambaLayer> bottleneck);
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  UMambaSettings settings_;
  std::shared_ptr<UMambaEncoder> encoder_;
  std::shared_ptr<UMambaDecoder> decoder_;
  std::shared_ptr<UMambaLayer> bottleneck_;
};

}  // namespace mambaseg
