#pragma once

#include <memory>
#include <vector>

#include <torch/types.h>

#include "mambaseg/ops/epilogue.h"

namespace mambaseg {

/// The weights of one layer in the layouts that the machine's kernels read. Filled at first use, renewed when
/// the weights have changed since. Every layer keeps one; copies share it. What is packed for an operation
/// that is recorded for the backward pass is not used again: an optimizer changes the weights, and not every
/// one of LibTorch's lets their version tell.
class PackedWeights {
 public:
  struct Contents;
  PackedWeights();
  Contents& contents() const { return *contents_; }
  /// The weights are not what was packed.
  void forget() const;

 private:
  std::shared_ptr<Contents> contents_;
};

/// A batch norm with fixed statistics behind a layer: y * scale + shift in each channel, both folded into the
/// packed weights.
struct FixedNorm {
  torch::Tensor weight, bias;  ///< (C)
  torch::Tensor mean, var;     ///< (C), running statistics
  double eps = 1e-5;
};

/// The parameters of a convolution or a linear layer.
struct DenseWeights {
  torch::Tensor weight;             ///< as torch::nn holds it
  torch::Tensor bias;               ///< (out), or undefined
  PackedWeights packed = {};        ///< of the layer
  const FixedNorm* norm = nullptr;  ///< without gradient only
};

struct ConvolutionOptions {
  std::vector<int64_t> stride, padding, dilation;  ///< one number an axis
  int64_t groups = 1;
  std::vector<int64_t> padding_behind = {};  ///< where it is not that in front; else empty. oneDNN only
};

/// act(norm(convolution(x)) + residual) in two or three spatial axes. x (B, in, spatial...), of any strides;
/// the result (B, out, spatial...) has the type of x and lies channels-last, so that one layer hands to the
/// next what it reads best. The type of x decides how it is computed: fp32, or bf16 with sums in fp32, with
/// weights in fp32 in both cases. On the CPU through oneDNN (weights packed once), depthwise convolutions by
/// ops/depthwise_conv; other types and devices through LibTorch. Differentiable in x, weight, bias and
/// residual. Throws c10::Error on shapes that do not fit. Same bits for the same number of threads.
torch::Tensor convolution(const torch::Tensor& x, const DenseWeights& weights,
                          const ConvolutionOptions& options, const Epilogue& epilogue = {});

/// act(x W^T + bias + residual): x (..., in), weight (out, in) -> (..., out). Types, devices and gradients as
/// `convolution`; the last axis of x must be contiguous to be read in place. `type` of the result: that of x
/// unless given, fp32 from bf16 being the other choice.
torch::Tensor linear(const torch::Tensor& x, const DenseWeights& weights, const Epilogue& epilogue = {},
                     torch::optional<torch::ScalarType> type = {});

/// Whether this processor multiplies bf16 in hardware (AVX-512 BF16 or AMX) and oneDNN is there to use it.
bool has_bf16_arithmetic();

/// The processor's instructions that oneDNN uses, for messages: "AVX-512 BF16", or "none" without oneDNN.
const char* dense_target();

}  // namespace mambaseg
