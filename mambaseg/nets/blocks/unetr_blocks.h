#pragma once

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/sequence.h"

/// The convolutional blocks around the encoders of UNETR and its successors, in two or three dimensions,
/// named as in MONAI. Norms are instance norms without scale and shift; the activation is leaky ReLU.
namespace mambaseg {

/// A layer under the prefix "conv", as MONAI's Convolution wraps one without norm and activation.
class MonaiConvolution : public Layer {
 public:
  explicit MonaiConvolution(std::shared_ptr<Layer> layer)
      : conv_(register_module("conv", std::move(layer))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return conv_->forward(x); }

 private:
  std::shared_ptr<Layer> conv_;
};

/// Two convolutions (edge 3) with norms, plus the input, which passes a pointwise convolution and a norm
/// where the channels change; leaky ReLU behind the first norm and the sum. Prefixes "conv1.conv" to
/// "conv3.conv".
class UnetrResBlock : public Layer {
 public:
  UnetrResBlock(int64_t dims, int64_t in, int64_t out);
  /// x (B, in, spatial...) -> (B, out, spatial...)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<MonaiConvolution> conv1_, conv2_, conv3_;
  PlainInstanceNorm norm_;
};

/// The same as a module of its own (UnetrBasicBlock). Prefix "layer".
class UnetrBasicBlock : public Layer {
 public:
  UnetrBasicBlock(int64_t dims, int64_t in, int64_t out)
      : layer_(register_module("layer", std::make_shared<UnetrResBlock>(dims, in, out))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return layer_->forward(x); }

 private:
  std::shared_ptr<UnetrResBlock> layer_;
};

/// Grows the grid by a transposed convolution, puts the skip behind, UnetrResBlock. Prefixes
/// "transp_conv.conv", "conv_block".
class UnetrUpBlock : public Module {
 public:
  UnetrUpBlock(int64_t dims, int64_t in, int64_t out, int64_t scale = 2);
  /// x (B, in, spatial...), skip (B, out, scale * spatial...) -> (B, out, scale * spatial...)
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& skip);

 private:
  std::shared_ptr<MonaiConvolution> grow_;
  std::shared_ptr<UnetrResBlock> block_;
};

/// Doubles the grid by a transposed convolution, then `layers` times by another, with UnetrResBlock behind it
/// where it `refines`. Prefixes "transp_conv_init.conv", "blocks.0.0.conv", "blocks.0.1", ..., or
/// "blocks.0.conv", ...
class UnetrPrUpBlock : public Layer {
 public:
  UnetrPrUpBlock(int64_t dims, int64_t in, int64_t out, int64_t layers, bool refines = true);
  /// x (B, in, spatial...) -> (B, out, 2^(layers + 1) * spatial...)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<MonaiConvolution> grow_;
  std::vector<std::shared_ptr<Layer>> blocks_;
};

/// Pointwise convolution to scores (UnetOutBlock). Prefix "conv.conv".
std::shared_ptr<Layer> unetr_head(int64_t dims, int64_t in, int64_t classes);

}  // namespace mambaseg
