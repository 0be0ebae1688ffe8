#pragma once

#include "mambaseg/nets/blocks/layers.h"

namespace mambaseg {

/// Cuts a picture into patches and projects each to a token, then a norm. Prefixes "proj", "norm".
class PatchEmbed2d : public torch::nn::Module {
 public:
  PatchEmbed2d(int64_t in_channels, int64_t width, int64_t patch);
  /// x (B, in_channels, Y, X) -> (B, Y / patch, X / patch, width)
  torch::Tensor forward(const torch::Tensor& x_BCYX);

 private:
  Conv2d proj_{nullptr};
  LayerNorm norm_{nullptr};
};

/// Joins 2 x 2 tokens, norm, projection to 2 * width (Swin Transformer). An odd last row or column is
/// dropped. Prefixes "norm", "reduction".
class PatchMerging2d : public torch::nn::Module {
 public:
  explicit PatchMerging2d(int64_t width);
  /// x (B, Y, X, width) -> (B, Y / 2, X / 2, 2 * width)
  torch::Tensor forward(const torch::Tensor& x_BYXC);

 private:
  LayerNorm norm_{nullptr};
  Linear reduction_{nullptr};
};

/// Projects each token to scale * scale tokens of width / scale channels, then a norm (Swin-Unet). Prefixes
/// "expand", "norm".
class PatchExpand2d : public torch::nn::Module {
 public:
  PatchExpand2d(int64_t width, int64_t scale);
  /// x (B, Y, X, width) -> (B, scale * Y, scale * X, width / scale)
  torch::Tensor forward(const torch::Tensor& x_BYXC);

 private:
  int64_t scale_;
  Linear expand_{nullptr};
  LayerNorm norm_{nullptr};
};

}  // namespace mambaseg
