#pragma once

#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/recompute.h"

/// The three blocks of LBMNet (Kuang et al. 2025), each with the choices that its text leaves open and the
/// switches of its ablation tables. Equations are those of the paper.
namespace mambaseg {

/// LSC, the encoder block (equations 1 to 3).
struct LscSettings {
  std::vector<int64_t> kernels{5, 7};  ///< depthwise branches, summed; empty: the residual blocks of Table 7
  bool shared_pointwise = false;       ///< one 1x1x1 convolution before all branches instead of one each
  std::string refinement = "dense";    ///< the 3x3x3 convolution behind the sum: dense, depthwise, none
  int64_t residual_convolutions = 2;   ///< without branches: 3x3x3 convolutions with batch norm
};

/// x + BN(Conv1(act(Conv3(act(sum over k of DWConv_k(Conv1(x))))))). Equations 1 to 3 hold no activation,
/// which would make the block affine: leaky ReLU stands before the refinement and before the last
/// convolution.
class LscBlock : public RecomputableLayer {
 public:
  LscBlock(int64_t dimension, int64_t channels, const LscSettings& settings);

 private:
  /// x (B, channels, spatial...) -> the same sizes
  torch::Tensor compute(const torch::Tensor& x) override;
  torch::Tensor branches(const torch::Tensor& x);

  std::vector<std::shared_ptr<Convolution>> pointwise_, depthwise_, dense_;
  std::vector<std::shared_ptr<BatchNorm>> dense_norm_;
  std::shared_ptr<Convolution> refine_, merge_;
  std::shared_ptr<BatchNorm> norm_;
};

/// BSC-Mamba, the decoder block (equations 4 to 8).
struct BscSettings {
  bool spatial = true;           ///< ASC, the adaptive spatial convolutions
  std::string scan = "two_way";  ///< none, one_way, two_way, four_way (also with the first two axes swapped)
  std::string attention_convolution = "depthwise";  ///< the 3x3x3 convolution inside SE: depthwise, dense
  std::string activation = "gelu";                  ///< phi: gelu, silu, sigmoid
  bool shared_weights = false;                      ///< one set of Mamba weights for all directions
  bool norm = true;                                 ///< layer norm before Mamba
  std::string residual = "input";                   ///< what equation 8 adds: input (x) or spatial (y)
  int64_t states = 16;
  int64_t conv_kernel = 4;
  int64_t expand = 2;
};

/// Squeeze and excitation without biases; the gate only.
class ChannelGate : public Layer {
 public:
  ChannelGate(int64_t channels, int64_t hidden);
  /// x (B, C, spatial...) -> gate in 0..1, (B, C, 1...)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<Linear> squeeze_, excite_;
};

/// y = x + DWConv7(Conv1(e) * phi(Conv1'(e))), e = SE(DWConv3(x)) * DWConv3'(x); then Mamba along the voxels
/// in raster order and against it, joined by a linear layer; plus x. Without Mamba y itself; without ASC y =
/// x.
class BscBlock : public RecomputableLayer {
 public:
  BscBlock(int64_t dimension, int64_t channels, const BscSettings& settings);

 private:
  torch::Tensor compute(const torch::Tensor& x) override;
  torch::Tensor spatial(const torch::Tensor& x);
  torch::Tensor sequential(const torch::Tensor& y);

  BscSettings settings_;
  std::shared_ptr<Convolution> attention_, detail_, value_, gate_, mix_;
  std::shared_ptr<ChannelGate> channel_gate_;
  std::shared_ptr<LayerNorm> norm_;
  std::vector<std::shared_ptr<Mamba>> mambas_;  // a direction each, or one for all
  int64_t directions_ = 0;
  std::shared_ptr<Linear> join_;
};

/// BAGF, the skip connection (equations 9 to 12), and what Figure 11 compares it with.
struct BagfSettings {
  bool gate = true;  ///< false: concatenation and a 1x1x1 convolution
  bool encoder_residual = true;
  bool encoder_attention = true;
  bool decoder_attention = true;
  std::string gate_maps = "voxel";  ///< two maps (voxel) or two a channel (channel)
};

/// alpha * SA(Res(E)) + beta * CA(D), alpha and beta from a softmax over a convolution of both, then a 1x1x1
/// convolution.
class BagfBlock : public Module, public Recomputable {
 public:
  BagfBlock(int64_t dimension, int64_t channels, const BagfSettings& settings);
  /// encoder, decoder (B, channels, spatial...) -> the same sizes
  torch::Tensor forward(const torch::Tensor& encoder, const torch::Tensor& decoder);

 private:
  torch::Tensor joined(const torch::Tensor& encoder, const torch::Tensor& decoder);

  BagfSettings settings_;
  std::shared_ptr<Convolution> encoder_align_, decoder_align_, residual_depthwise_, residual_pointwise_,
      attention_, gate_, out_;
  std::shared_ptr<BatchNorm> encoder_norm_, decoder_norm_, residual_norm_;
  std::shared_ptr<ChannelGate> channel_gate_;
};

}  // namespace mambaseg
