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

PatchMerging::PatchMerging(int64_t width, JoinOrder order) : order_(std::move(order)) {
  const auto joined = static_cast<int64_t>(order_.size()) * width;
  norm_ = register_module("norm", std::make_shared<LayerNorm>(joined));
  reduction_ = register_module("reduction", std::make_shared<Linear>(joined, 2 * width, false));
}

torch::Tensor PatchMerging::forward(const torch::Tensor& x) {
  const auto axes = static_cast<int64_t>(order_[0].size());
  std::vector<int64_t> behind{0, 0};  // last axis first
  for (int64_t axis = axes; axis > 0; --axis) behind.insert(behind.end(), {0, x.size(axis) % 2});
  const torch::Tensor even = torch::constant_pad_nd(x, behind);
  std::vector<torch::Tensor> parts;
  for (const std::vector<int64_t>& place : order_) {
    torch::Tensor part = even;
    for (int64_t axis = 0; axis < axes; ++axis)
      part = part.slice(axis + 1, place[static_cast<size_t>(axis)], torch::nullopt, 2);
    parts.push_back(part);
  }
  return reduction_->forward(norm_->forward(torch::cat(parts, -1)));
}

torch::Tensor PatchMerging2d::forward(const torch::Tensor& x) {
  const int64_t Y = x.size(1) / 2, X = x.size(2) / 2;
  require(Y > 0 && X > 0, "patch merging: a grid of ", x.size(1), " x ", x.size(2), " cannot be halved");
  return PatchMerging::forward(x.slice(1, 0, 2 * Y).slice(2, 0, 2 * X));
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
