#pragma once

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/norm.h"

namespace mambaseg {

/// Cuts a picture into patches and projects each to a token, then a norm. Prefixes "proj", "norm".
class PatchEmbed2d : public Layer {
 public:
  PatchEmbed2d(int64_t in_channels, int64_t width, int64_t patch);
  /// x (B, in_channels, Y, X) -> (B, Y / patch, X / patch, width)
  torch::Tensor forward(const torch::Tensor& x_BCYX) override;

 private:
  std::shared_ptr<Convolution> proj_;
  std::shared_ptr<LayerNorm> norm_;
};

/// In what order PatchMerging joins tokens: their places in the block of two along each axis.
using JoinOrder = std::vector<std::vector<int64_t>>;

/// Joins blocks of 2 x 2 (x 2) tokens, norm, projection to 2 * width (Swin Transformer); odd grids are padded
/// with zeros behind. Prefixes "norm", "reduction".
class PatchMerging : public Layer {
 public:
  PatchMerging(int64_t width, JoinOrder order);
  /// x (B, S..., width) -> (B, S / 2 rounded up..., 2 * width)
  torch::Tensor forward(const torch::Tensor& x_BSC) override;
  /// (row, column): 00, 10, 01, 11, as all have it in the plane.
  static JoinOrder plane() { return {{0, 0}, {1, 0}, {0, 1}, {1, 1}}; }

 private:
  JoinOrder order_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Linear> reduction_;
};

/// The same in the plane, where an odd last row or column is dropped.
class PatchMerging2d : public PatchMerging {
 public:
  explicit PatchMerging2d(int64_t width) : PatchMerging(width, plane()) {}
  /// x (B, Y, X, width) -> (B, Y / 2, X / 2, 2 * width)
  torch::Tensor forward(const torch::Tensor& x_BYXC) override;
};

/// Projects each token to scale * scale tokens of `out` channels, then a norm (Swin-Unet). Prefixes "expand",
/// "norm".
class PatchExpand2d : public Layer {
 public:
  /// Without `out` it is width / scale.
  PatchExpand2d(int64_t width, int64_t scale, int64_t out = 0);
  /// x (B, Y, X, width) -> (B, scale * Y, scale * X, out)
  torch::Tensor forward(const torch::Tensor& x_BYXC) override;

 private:
  int64_t scale_;
  std::shared_ptr<Linear> expand_;
  std::shared_ptr<LayerNorm> norm_;
};

}  // namespace mambaseg
