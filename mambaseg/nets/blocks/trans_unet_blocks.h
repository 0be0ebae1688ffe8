#pragma once

#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/sequence.h"

/// Parts of TransUNet (Chen et al. 2021) that other networks took over, module names included.
namespace mambaseg {

constexpr double kVitNormEps = 1e-6;  ///< of the norms around the transformer

struct VitBlockSettings {
  int64_t width = 768;
  int64_t mlp_width = 3072;
  int64_t heads = 12;
  double dropout = 0;            ///< training: in the MLP
  double attention_dropout = 0;  ///< training: of the weights and behind their projection
};

/// A block of a vision transformer (Dosovitskiy et al. 2020), tokens (B, ..., width). Prefixes
/// "attention_norm", "attn" (with "query", "key", "value", "out"), "ffn_norm", "ffn" ("fc1", "fc2").
std::shared_ptr<MixerBlock> vit_block(const VitBlockSettings& settings);

/// 2-D convolution whose weights have mean 0 and variance 1 in each output channel (Qiao et al. 2019).
class StandardConvolution : public Layer {
 public:
  StandardConvolution(int64_t in, int64_t out, int64_t edge, int64_t stride, bool bias = false);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  ConvolutionOptions options_;
  torch::Tensor weight_, bias_;
  DerivedWeights kept_;
};

/// 3x3, without bias; named "0" to "2".
std::shared_ptr<Sequence> conv_norm_relu(int64_t in, int64_t out);

/// Doubles the grid linearly, puts the skip behind where there is one, two convolutions. Prefixes "conv1",
/// "conv2".
class DecoderStage : public Module {
 public:
  DecoderStage(int64_t in, int64_t out, int64_t skip);
  /// x (B, in, Y, X), skip (B, skip, 2 Y, 2 X) or undefined -> (B, out, 2 Y, 2 X)
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& skip);

 private:
  std::shared_ptr<Sequence> conv1_, conv2_;
};

}  // namespace mambaseg
