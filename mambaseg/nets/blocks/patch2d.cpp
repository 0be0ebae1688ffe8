#include "mambaseg/nets/blocks/patch2d.h"

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace nn = torch::nn;

PatchEmbed2d::PatchEmbed2d(int64_t in_channels, int64_t width, int64_t patch)
    : proj_(register_module("proj", Conv2d(nn::Conv2dOptions(in_channels, width, patch).stride(patch)))),
      norm_(register_module("norm", LayerNorm(nn::LayerNormOptions({width})))) {}

torch::Tensor PatchEmbed2d::forward(const torch::Tensor& x) {
  return norm_->forward(proj_->forward(x).permute({0, 2, 3, 1}));
}

PatchMerging2d::PatchMerging2d(int64_t width)
    : norm_(register_module("norm", LayerNorm(nn::LayerNormOptions({4 * width})))),
      reduction_(register_module("reduction", Linear(nn::LinearOptions(4 * width, 2 * width).bias(false)))) {}

torch::Tensor PatchMerging2d::forward(const torch::Tensor& x) {
  const int64_t Y = x.size(1) / 2, X = x.size(2) / 2;
  require(Y > 0 && X > 0, "patch merging: a grid of ", x.size(1), " x ", x.size(2), " cannot be halved");
  // Offsets in the order row, column: (0, 0), (1, 0), (0, 1), (1, 1).
  const torch::Tensor joined = x.slice(1, 0, 2 * Y)
                                   .slice(2, 0, 2 * X)
                                   .reshape({x.size(0), Y, 2, X, 2, x.size(3)})
                                   .permute({0, 1, 3, 4, 2, 5})
                                   .reshape({x.size(0), Y, X, 4 * x.size(3)});
  return reduction_->forward(norm_->forward(joined));
}

PatchExpand2d::PatchExpand2d(int64_t width, int64_t scale)
    : scale_(scale),
      expand_(register_module("expand", Linear(nn::LinearOptions(width, scale * width).bias(false)))),
      norm_(register_module("norm", LayerNorm(nn::LayerNormOptions({width / scale})))) {
  if (width % scale != 0)
    throw UsageError(
        concat("widths: expected a multiple of ", scale, " where the grid grows by it, got ", width));
}

torch::Tensor PatchExpand2d::forward(const torch::Tensor& x) {
  const int64_t B = x.size(0), Y = x.size(1), X = x.size(2), C = x.size(3) / scale_;
  const torch::Tensor spread = expand_->forward(x)
                                   .view({B, Y, X, scale_, scale_, C})
                                   .permute({0, 1, 3, 2, 4, 5})
                                   .reshape({B, scale_ * Y, scale_ * X, C});
  return norm_->forward(spread);
}

}  // namespace mambaseg
