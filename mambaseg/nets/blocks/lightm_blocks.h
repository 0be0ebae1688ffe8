#pragma once

#include "mambaseg/nets/blocks/pvm_layer.h"
#include "mambaseg/nets/layers/sequence.h"

/// The blocks of LightM-UNet (Liao et al. 2024) that nnUZoo's LM2Net took over, module names included.
namespace mambaseg {

/// A depthwise and a pointwise convolution. Prefixes "0.conv", "1.conv".
std::shared_ptr<Sequence> separable_conv(int64_t dims, int64_t in, int64_t out, int64_t edge = 3,
                                         bool bias = false);

/// The RVM layer: PvmLayer of one chunk, whose skip is not normed.
std::shared_ptr<PvmLayer> rvm_layer(int64_t dims, int64_t in, int64_t out, int64_t states = 16);

/// Groups of the norms around both.
constexpr int64_t kLightmGroups = 8;

/// relu(norm(conv(relu(norm(x))) + scale * x)), conv depthwise and pointwise. Prefixes "norm1", "conv",
/// "norm2", "skip_scale".
class ScaledConvBlock : public Layer {
 public:
  ScaledConvBlock(int64_t dims, int64_t width);
  /// x (B, width, spatial...) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<GroupNorm> norm1_, norm2_;
  std::shared_ptr<Sequence> conv_;
  torch::Tensor skip_scale_;
};

}  // namespace mambaseg
