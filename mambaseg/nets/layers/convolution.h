#pragma once

#include "mambaseg/nets/layers/layer.h"
#include "mambaseg/nets/layers/start.h"
#include "mambaseg/ops/growing_conv.h"

namespace mambaseg {

struct ConvolutionSettings {
  Extent stride = {};    ///< empty: 1
  Extent padding = {};   ///< empty: half the reach of the kernel, which keeps the size at stride 1
  Extent dilation = {};  ///< empty: 1
  int64_t groups = 1;
  bool bias = true;
  Start start = Start::pytorch;
};

/// Convolution in as many dimensions as the kernel has. Parameters "weight" and "bias" as torch.nn.ConvNd.
class Convolution : public DenseLayer {
 public:
  /// UsageError for an even kernel edge without a padding given for it.
  Convolution(int64_t in, int64_t out, const Extent& kernel, const ConvolutionSettings& settings = {});
  using DenseLayer::run;
  /// x (B, in, spatial...) -> (B, out, spatial / stride...)
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue, const FixedNorm* norm) override;
  int64_t groups() const { return options_.groups; }
  torch::Tensor weight, bias;

 private:
  ConvolutionOptions options_;
  PackedWeights packed_;
};

/// A kernel of the same edge along `dims` axes.
std::shared_ptr<Convolution> conv(int64_t dims, int64_t in, int64_t out, int64_t edge,
                                  const ConvolutionSettings& settings = {});

/// Each channel by itself.
std::shared_ptr<Convolution> depthwise(int64_t dims, int64_t channels, int64_t edge,
                                       ConvolutionSettings settings = {});

struct TransposedSettings {
  Extent stride = {};          ///< empty: the kernel, so that each voxel becomes a block of its own
  Extent padding = {};         ///< empty: 0
  Extent output_padding = {};  ///< empty: 0
  bool bias = true;
  Start start = Start::pytorch;
};

/// Transposed convolution, parameters as torch.nn.ConvTransposeNd. A block for each voxel (kernel = stride)
/// by a linear layer, other kernels by LibTorch in fp32.
class TransposedConvolution : public Layer {
 public:
  TransposedConvolution(int64_t in, int64_t out, const Extent& kernel,
                        const TransposedSettings& settings = {});
  /// x (B, in, spatial...) -> (B, out, (spatial - 1) * stride - 2 padding + kernel + output_padding...)
  torch::Tensor forward(const torch::Tensor& x) override;
  torch::Tensor weight, bias;

 private:
  Extent stride_, padding_, output_padding_;
  bool blocks_;
  GrowingWeights grown_;
};

}  // namespace mambaseg
