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

/// What mixes the voxels of a map as tokens, in raster order. With `channel_tokens` the channels are the
/// sequence and each token holds all voxels. In fp32.
class VoxelTokens : public Layer {
 public:
  /// `width` is the number of channels, or of voxels with channel tokens.
  VoxelTokens(int64_t width, bool channel_tokens) : width_(width), channel_tokens_(channel_tokens) {}
  /// x (B, C, spatial...) -> the same sizes. Error when channel tokens meet another number of voxels.
  torch::Tensor forward(const torch::Tensor& x) override;

 protected:
  /// (B, sizes..., width) -> the same sizes
  virtual torch::Tensor mixed(const torch::Tensor& tokens) = 0;

 private:
  int64_t width_;
  bool channel_tokens_;
};

/// Layer norm and Mamba, the result in place of the features: the official layer has no residual around it.
/// Prefixes "norm", "mamba".
class UMambaLayer : public VoxelTokens {
 public:
  UMambaLayer(const MambaSettings& mamba, bool channel_tokens);

 protected:
  torch::Tensor mixed(const torch::Tensor& tokens) override {
    return mamba_->forward(norm_->forward(tokens));
  }

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Mamba> mamba_;
};

/// U-Mamba's U-Net without the layers that mix its voxels.
struct UMambaShape : UNetShape {
  std::vector<int64_t> convolutions{2};
  std::vector<int64_t> decoder_convolutions{2};
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
  }
};

struct UMambaSettings : UMambaShape {
  bool mamba = true;
  void describe(SettingsVisitor& visit) {
    UMambaShape::describe(visit);
    visit("mamba", mamba, "false: the same network without its Mamba layers");
  }
};

/// The shape that the arguments of the official constructors give.
void read_umamba_arguments(const Json& arguments, UMambaShape& shape);

/// Voxels at each stage for input of the size `patch`; empty: 128 along each axis. UsageError where it has
/// another number of axes than the network or a stage is left without a voxel.
std::vector<int64_t> stage_voxels(const UNetShape& shape, const Extent& patch);

/// What stands between the convolutions of U-Mamba's U-Net.
struct UMambaMixers {
  std::vector<std::shared_ptr<Layer>> stages = {};  ///< behind each encoder stage, null for none; or empty
  std::shared_ptr<Layer> bottleneck = {};           ///< on the deepest features, or null
  const char* stages_name = "mamba_layers";
  const char* bottleneck_name = "mamba_layer";
};

class UMambaEncoder;
class UMambaDecoder;

/// Residual U-Net with mixers. Prefixes "encoder.stem", "encoder.stages", "decoder", and the mixers' names,
/// those of the stages within "encoder".
class UMamba : public Network {
 public:
  UMamba(const UMambaShape& shape, UMambaMixers mixers);
  Extent size_multiples() const override { return shape_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  UMambaShape shape_;
  std::shared_ptr<UMambaEncoder> encoder_;
  std::shared_ptr<UMambaDecoder> decoder_;
  std::shared_ptr<Layer> bottleneck_;
};

}  // namespace mambaseg
