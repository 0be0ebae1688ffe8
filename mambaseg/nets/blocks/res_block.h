#pragma once

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/norm.h"

/// The parts of STU-Net (Huang et al. 2023) that U-Mamba took over, module names included. Start values are
/// nnU-Net's.
namespace mambaseg {

/// Convolution (with stride), instance norm, leaky ReLU, convolution, instance norm, the sum with the input,
/// leaky ReLU. Prefixes "conv1", "norm1", "conv2", "norm2", "conv3" (1x1 on the input, with the stride, where
/// it is projected).
class ResBlock : public Layer {
 public:
  ResBlock(int64_t in, int64_t out, const Extent& kernel, const Extent& stride, bool projected = true);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<Convolution> conv1_, conv2_, conv3_;
  std::shared_ptr<InstanceNorm> norm1_, norm2_;
};

/// Every voxel repeated `factor` times along each axis and a 1x1 convolution. Prefix "conv".
class NearestGrowth : public Layer {
 public:
  NearestGrowth(int64_t in, int64_t out, const Extent& factor);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  Extent factor_;
  std::shared_ptr<Convolution> conv_;
};

}  // namespace mambaseg
