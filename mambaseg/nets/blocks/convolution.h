#pragma once

#include <vector>

#include "mambaseg/ops/dense.h"
#include "mambaseg/ops/growing_conv.h"

namespace mambaseg {

/// Voxels along each spatial axis; its length is the number of dimensions.
using Extent = std::vector<int64_t>;

/// Convolution in any number of dimensions, padded so that stride 1 keeps the size (odd kernels). Starts as
/// nnU-Net has it: weights Kaiming-normal for leaky ReLU of slope 0.01, bias 0.
struct ConvolutionSettings {
  int64_t in = 1;
  int64_t out = 1;
  Extent kernel;
  Extent stride;           ///< empty: 1
  bool depthwise = false;  ///< each channel by itself; in = out and stride 1
  bool bias = true;
};

/// Parameters "weight" and "bias" as torch.nn.ConvNd.
class Convolution : public torch::nn::Module {
 public:
  explicit Convolution(const ConvolutionSettings& settings);
  /// act(norm(convolution(x)) + residual), `norm` null or, without gradient, of fixed statistics:
  /// x (B, in, spatial...) -> (B, out, ceil(spatial / stride)...)
  torch::Tensor forward(const torch::Tensor& x, const Epilogue& epilogue = {},
                        const FixedNorm* norm = nullptr);
  torch::Tensor weight, bias;

 private:
  ConvolutionSettings settings_;
  Extent padding_, ones_;
  PackedWeights packed_;
};

/// 1x1 convolution in `dimension` dimensions.
std::shared_ptr<Convolution> pointwise_convolution(int64_t dimension, int64_t in, int64_t out,
                                                   bool bias = true);

/// Each channel by itself, cubes of `edge`.
std::shared_ptr<Convolution> depthwise_convolution(int64_t dimension, int64_t channels, int64_t edge);

/// Transposed convolution whose kernel is its stride: multiplies every size by it. Parameters as
/// torch.nn.ConvTransposeNd.
class TransposedConvolution : public torch::nn::Module {
 public:
  TransposedConvolution(int64_t in, int64_t out, const Extent& stride, bool bias = true);
  /// x (B, in, spatial...) -> (B, out, spatial * stride...)
  torch::Tensor forward(const torch::Tensor& x);
  torch::Tensor weight, bias;

 private:
  GrowingWeights grown_;
};

/// Instance norm with scale and shift, eps 1e-5, in any number of dimensions.
class InstanceNorm : public torch::nn::Module {
 public:
  explicit InstanceNorm(int64_t channels);
  /// act(norm(x) + residual)
  torch::Tensor forward(const torch::Tensor& x, const Epilogue& epilogue = {});
  torch::Tensor weight, bias;
};

/// Batch norm with running statistics, eps 1e-5, momentum 0.1, in any number of dimensions. Buffers as
/// torch.nn.BatchNormNd.
class BatchNorm : public torch::nn::Module {
 public:
  explicit BatchNorm(int64_t channels);
  /// act(norm(x) + residual)
  torch::Tensor forward(const torch::Tensor& x, const Epilogue& epilogue = {});
  FixedNorm fixed() const { return {weight, bias, running_mean, running_var, 1e-5}; }
  torch::Tensor weight, bias, running_mean, running_var, num_batches_tracked;
};

/// act(norm(convolution(x)) + residual), the norm folded into the weights where its statistics are fixed and
/// no gradient is needed.
torch::Tensor normed(Convolution& convolution, BatchNorm& norm, const torch::Tensor& x,
                     const Epilogue& epilogue = {});

/// Leaky ReLU of slope 0.01, as nnU-Net uses it everywhere.
torch::Tensor leaky(const torch::Tensor& x);

/// Every voxel repeated `factor` times along each axis.
torch::Tensor nearest_upsampled(const torch::Tensor& x, const Extent& factor);

/// Linear (bilinear, trilinear) interpolation to sizes times `factor`, voxel areas aligned.
torch::Tensor linear_upsampled(const torch::Tensor& x, int64_t factor);

}  // namespace mambaseg
