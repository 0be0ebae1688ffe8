#pragma once

#include <functional>

#include "mambaseg/nets/blocks/tri_orientated_mamba.h"
#include "mambaseg/nets/blocks/unetr_blocks.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/sequence.h"

/// What SegMamba (Xing et al. 2024) and the 3-D networks after it have in common, named as in its public
/// code.
namespace mambaseg {

/// Gated spatial convolution (GSC): x + conv1(conv3(conv3(x)) + conv1(x)), a norm and a ReLU behind each
/// convolution. Prefixes "proj" to "proj4"; with learnt slopes (one PReLU each) "nonliner" to "nonliner4".
class GatedSpatialConvolution : public Layer {
 public:
  explicit GatedSpatialConvolution(int64_t width, bool learnt_slopes = false);
  /// x (B, width, Z, Y, X) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  torch::Tensor step(size_t i, const torch::Tensor& x);

  std::vector<std::shared_ptr<Convolution>> projections_;
  std::vector<torch::Tensor> slopes_;  ///< or none
  PlainInstanceNorm norm_;
};

/// x + Mamba(norm(x)) on the voxels in raster order, or without the x. Prefixes "norm", "mamba".
class TriOrientatedLayer : public Layer {
 public:
  explicit TriOrientatedLayer(const TriOrientatedMambaSettings& mamba, bool residual = true);
  /// x (B, C, Z, Y, X) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  bool residual_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<TriOrientatedMamba> mamba_;
};

/// Pointwise convolution to `hidden` channels, GELU, and back. Prefixes "fc1", "fc2".
class ChannelMlp : public Layer {
 public:
  ChannelMlp(int64_t width, int64_t hidden, int64_t dims = 3);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<Convolution> fc1_, fc2_;
};

/// A convolution (in, out, edge, how).
using MakeConvolution =
    std::function<std::shared_ptr<Layer>(int64_t, int64_t, int64_t, const ConvolutionSettings&)>;

/// What halves the grid before each scale: a convolution of edge 7 of the image, then an instance norm and a
/// convolution of edge 2 each.
std::vector<std::shared_ptr<Layer>> halving_layers(int64_t in, const std::vector<int64_t>& widths,
                                                   const MakeConvolution& make);
std::vector<std::shared_ptr<Layer>> halving_layers(int64_t in, const std::vector<int64_t>& widths);

/// The smallest cube of a multiple of 2^scales voxels whose halved grids the slices of every scale divide (0:
/// no condition).
Extent sliced_size_multiples(const std::vector<int64_t>& slices);

/// UNETR's blocks around an encoder whose scales each halve the grid: one on the image and on each scale,
/// then the decoder. Registered in the owner as "encoder1" (image), ..., "decoder1" (finest).
class UnetrScales {
 public:
  /// `widths` of the scales, then that of the coarsest in the decoder.
  UnetrScales(torch::nn::Module& owner, int64_t in, const std::vector<int64_t>& widths);
  /// The image (0) or scale i (from 1) as the decoder takes it.
  torch::Tensor skip(size_t i, const torch::Tensor& x) const { return encoders_[i]->forward(x); }
  /// The features (B, widths[0], Z, Y, X) that the skips of image and scales give.
  torch::Tensor decoded(std::vector<torch::Tensor> skips) const;

 private:
  std::vector<std::shared_ptr<UnetrBasicBlock>> encoders_;
  std::vector<std::shared_ptr<UnetrUpBlock>> decoders_;  ///< coarsest first
  std::shared_ptr<UnetrBasicBlock> last_;
};

}  // namespace mambaseg
