#include "mambaseg/nets/blocks/patch2d.h"

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/official_blocks.h"

namespace mambaseg {
PatchEmbed2d::PatchEmbed2d(int64_t in_channels, int64_t width, int64_t patch)
    : proj_(register_module(
          "proj", conv(2, in_channels, width, patch, {.stride = cube(2, patch), .padding = cube(2, 0)}))),
      norm_(register_module("norm", std::make_shared<LayerNorm>(width))) {}

torch::Tensor PatchEmbed2d::forward(const torch::Tensor& x) {
  return norm_->forward(proj_->forward(x).permute({0, 2, 3, 1}));
}

PatchMerging2d::PatchMerging2d(int64_t width)
    : norm_(register_module("norm", std::make_shared<LayerNorm>(4 * width))),
      reduction_(register_module("reduction", std::make_shared<Linear>(4 * width, 2 * width, false))) {}

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

PatchExpand2d::PatchExpand2d(int64_t width, int64_t scale, int64_t out) : scale_(scale) {
  if (out == 0 && width % scale != 0)
    throw UsageError(
        concat("widths: expected a multiple of ", scale, " where the grid grows by it, got ", width));
  if (out == 0) out = width / scale;
  expand_ = register_module("expand", std::make_shared<Linear>(width, scale * scale * out, false));
  norm_ = register_module("norm", std::make_shared<LayerNorm>(out));
}

torch::Tensor PatchExpand2d::forward(const torch::Tensor& x) {
  const int64_t B = x.size(0), Y = x.size(1), X = x.size(2), C = norm_->weight.numel();
  const torch::Tensor spread = expand_->forward(x)
                                   .view({B, Y, X, scale_, scale_, C})
                                   .permute({0, 1, 3, 2, 4, 5})
                                   .reshape({B, scale_ * Y, scale_ * X, C});
  return norm_->forward(spread);
}

std::vector<OfficialBlock> official_patch2d() {
  using Module = std::shared_ptr<torch::nn::Module>;
  const char* repository = "JCruan519/VM-UNet";
  return {
      {repository,
       {"patchembed", "PatchEmbed2D"},
       [](const Json& a) -> Module {
         return std::make_shared<PatchEmbed2d>(argument<int64_t>(a, "in_chans", 3),
                                               argument<int64_t>(a, "embed_dim", 96),
                                               argument<int64_t>(a, "patch_size", 4));
       }},
      {repository,
       {"patchmerge", "patchmerge_odd", "PatchMerging2D"},
       [](const Json& a) -> Module { return std::make_shared<PatchMerging2d>(a.at("dim").get<int64_t>()); }},
      {repository,
       {"patchexpand", "PatchExpand2D"},
       [](const Json& a) -> Module {
         return std::make_shared<PatchExpand2d>(2 * a.at("dim").get<int64_t>(),
                                                argument<int64_t>(a, "dim_scale", 2));
       }},
      {repository, {"finalexpand", "Final_PatchExpand2D"}, [](const Json& a) -> Module {
         return std::make_shared<PatchExpand2d>(a.at("dim").get<int64_t>(),
                                                argument<int64_t>(a, "dim_scale", 4));
       }}};
}

}  // namespace mambaseg
