#pragma once

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/sequence.h"

/// The parts of ResNet (He et al. 2016) in two dimensions, named as in torchvision and timm.
namespace mambaseg {

/// The largest of each 3 x 3 pixels at every second one, behind the stem.
class ResnetPool : public Layer {
 public:
  /// x (B, C, Y, X) -> (B, C, Y / 2, X / 2), odd sizes rounded up
  torch::Tensor forward(const torch::Tensor& x_BCYX) override;
};

/// Two convolutions 3x3 and the sum with the input, which is projected where its sizes differ. Prefixes
/// "conv1", "bn1", "conv2", "bn2", "downsample".
class ResnetBasicBlock : public Layer {
 public:
  ResnetBasicBlock(int64_t in, int64_t out, int64_t stride = 1);
  /// x (B, in, Y, X) -> (B, out, Y / stride, X / stride)
  torch::Tensor forward(const torch::Tensor& x_BCYX) override;

 private:
  std::shared_ptr<Convolution> conv1_, conv2_;
  std::shared_ptr<BatchNorm> bn1_, bn2_;
  std::shared_ptr<Sequence> downsample_;  ///< or null
};

/// Convolutions 1x1, 3x3 (with the stride) and 1x1, of `inner`, `inner` and 4 * inner channels, and the sum
/// with the input, as above. Prefixes "conv1" to "conv3", "bn1" to "bn3", "downsample".
class ResnetBottleneck : public Layer {
 public:
  ResnetBottleneck(int64_t in, int64_t inner, int64_t stride = 1);
  /// x (B, in, Y, X) -> (B, 4 * inner, Y / stride, X / stride)
  torch::Tensor forward(const torch::Tensor& x_BCYX) override;

 private:
  std::shared_ptr<Convolution> conv1_, conv2_, conv3_;
  std::shared_ptr<BatchNorm> bn1_, bn2_, bn3_;
  std::shared_ptr<Sequence> downsample_;  ///< or null
};

}  // namespace mambaseg
