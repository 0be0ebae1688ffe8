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

/// Joins 2 x 2 tokens, norm, projection to 2 * width (Swin Transformer). An odd last row or column is
/// dropped. Prefixes "norm", "reduction".
class PatchMerging2d : public Layer {
 public:
  explicit PatchMerging2d(int64_t width);
  /// x (B, Y, X, width) -> (B, Y / 2, X / 2, 2 * width)
  torch::Tensor forward(const torch::Tensor& x_BYXC) override;

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Linear> reduction_;
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
