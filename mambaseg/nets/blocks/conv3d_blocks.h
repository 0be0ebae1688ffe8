#pragma once

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/recompute.h"
#include "mambaseg/nets/layers/sequence.h"

namespace mambaseg {

/// How the convolution blocks of the MedSegMamba family are built. All norms are GroupNorm(8), eps 1e-5;
/// convolutions have a bias.
struct ConvStyle {
  bool preactivation = false;   ///< norm, ReLU, convolution instead of convolution, norm, ReLU
  bool plain_identity = false;  ///< residual without its 1x1x1 convolution where the channels agree
  bool single = false;          ///< one convolution in a ResBlock3d instead of two
};

/// [Conv3 GN ReLU] twice; state_dict prefix "conv".
class ConvBlock3d : public RecomputableLayer {
 public:
  ConvBlock3d(int64_t channels_in, int64_t channels_out);

 private:
  /// x (B, channels_in, Z, Y, X) -> (B, channels_out, Z, Y, X)
  torch::Tensor compute(const torch::Tensor& x) override;

  std::shared_ptr<Sequence> conv_;
};

/// identity(x) + conv(x), where conv is two 3x3x3 convolutions with norms and ReLUs, or one as TABSurfer has
/// it, without an activation after the sum; identity is a 1x1x1 convolution unless the style says otherwise.
/// Prefixes "conv", "identity".
class ResBlock3d : public RecomputableLayer {
 public:
  ResBlock3d(int64_t channels_in, int64_t channels_out, const ConvStyle& style);

 private:
  /// x (B, channels_in, Z, Y, X) -> (B, channels_out, Z, Y, X)
  torch::Tensor compute(const torch::Tensor& x) override;

  std::shared_ptr<Sequence> conv_;
  std::shared_ptr<Convolution> identity_;
};

/// Halves the grid, then a ResBlock3d. Max pooling, or a strided convolution with norm and ReLU before
/// (preactivation) or after it; the block behind a strided convolution is always a preactivation block.
/// Prefix "down".
class DownBlock3d : public Layer {
 public:
  DownBlock3d(int64_t channels_in, int64_t channels_out, bool max_pool, const ConvStyle& style,
              int64_t kernel = 3);
  /// x (B, channels_in, Z, Y, X), even sizes -> (B, channels_out, Z/2, Y/2, X/2)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<Sequence> down_;
};

/// Doubles the grid: nearest neighbour and a 3x3x3 convolution, or a transposed convolution; with norm and
/// ReLU before (preactivation) or after. Prefix "up".
class UpBlock3d : public Layer {
 public:
  UpBlock3d(int64_t channels_in, int64_t channels_out, bool nearest, const ConvStyle& style,
            int64_t kernel = 3);
  /// x (B, channels_in, Z, Y, X) -> (B, channels_out, 2Z, 2Y, 2X)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<Sequence> up_;
};

}  // namespace mambaseg
