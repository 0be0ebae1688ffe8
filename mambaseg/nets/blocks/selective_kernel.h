#pragma once

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/sequence.h"

/// Selective kernels (Li et al. 2019): branches that see more or less of the surroundings, and how much of
/// each a channel takes. In two dimensions.
namespace mambaseg {

/// The sum of branches (B, C, Y, X), each times `weights` of it (B, C), which are brought to the sum 1 by a
/// softmax over the branches.
torch::Tensor selected(const std::vector<torch::Tensor>& branches, const std::vector<torch::Tensor>& weights);

struct SelectiveKernelSettings {
  int64_t channels = 16;
  int64_t edge = 7;       ///< of the convolutions
  int64_t branches = 2;   ///< the i-th of dilation i
  int64_t groups = 16;    ///< of the convolutions
  int64_t reduction = 4;  ///< channels / channels between, which are at least `least`
  int64_t least = 32;
};

/// Convolution, batch norm, ReLU of several dilations, selected by the means of their sum. Prefixes "convs",
/// "fc", "fcs".
class SelectiveKernel : public Layer {
 public:
  explicit SelectiveKernel(const SelectiveKernelSettings& settings);
  /// x (B, channels, Y, X) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BCYX) override;

 private:
  std::vector<std::shared_ptr<Sequence>> convs_;
  std::shared_ptr<Sequence> narrow_;
  std::vector<std::shared_ptr<Convolution>> choices_;
};

/// 1x1, selective kernel, 1x1 and the sum with the input. Prefixes "conv1", "conv2_sk", "conv3".
class SelectiveKernelUnit : public Layer {
 public:
  explicit SelectiveKernelUnit(const SelectiveKernelSettings& settings);
  /// x (B, channels, Y, X) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BCYX) override;

 private:
  std::shared_ptr<Sequence> conv1_, conv3_;
  std::shared_ptr<SelectiveKernel> kernel_;
};

}  // namespace mambaseg
