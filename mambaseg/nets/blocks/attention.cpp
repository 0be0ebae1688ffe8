#include "mambaseg/nets/blocks/attention.h"

#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/layers/resampling.h"

namespace mambaseg {

SelfAttention::SelfAttention(const AttentionSettings& s) : heads_(s.heads), dropout_(s.dropout) {
  if (s.width % s.heads != 0)
    throw UsageError(concat("attention: ", s.heads, " heads do not divide a width of ", s.width));
  if (s.separate)
    for (const char* name : {"query", "key", "value"})
      projections_.push_back(register_module(name, std::make_shared<Linear>(s.width, s.width, s.bias)));
  else
    projections_ = {register_module("qkv", std::make_shared<Linear>(s.width, 3 * s.width, s.bias))};
  out_ = register_module(s.out, std::make_shared<Linear>(s.width, s.width));
  out_dropout_ = register_module("out_dropout", std::make_shared<Dropout>(s.out_dropout));
}

torch::Tensor SelfAttention::forward(const torch::Tensor& x) {
  return attended(x.flatten(1, -2), {}).view_as(x);
}

std::vector<torch::Tensor> SelfAttention::queries_keys_values(const torch::Tensor& x) {
  const int64_t N = x.size(0), L = x.size(1), C = x.size(2);
  std::vector<torch::Tensor> qkv;
  for (const auto& projection : projections_)
    for (const torch::Tensor& part : projection->forward(x).view({N, L, -1, heads_, C / heads_}).unbind(2))
      qkv.push_back(part.transpose(1, 2));
  return qkv;
}

torch::Tensor SelfAttention::weights(const torch::Tensor& x) {
  const std::vector<torch::Tensor> qkv = queries_keys_values(x);
  const double scale = 1 / std::sqrt(static_cast<double>(qkv[0].size(3)));
  return torch::softmax(torch::matmul(qkv[0] * scale, qkv[1].transpose(2, 3)), -1);
}

torch::Tensor SelfAttention::attended(const torch::Tensor& x, const AttentionBias& bias) {
  const std::vector<torch::Tensor> qkv = queries_keys_values(x);
  const torch::Tensor mixed = attention(qkv[0], qkv[1], qkv[2], bias, is_training() ? dropout_ : 0);
  return out_dropout_->forward(out_->forward(mixed));
}

LearntPositions::LearntPositions(const Extent& grid, int64_t width, double deviation) : grid_(grid) {
  int64_t tokens = 1;
  for (const int64_t size : grid) tokens *= size;
  embeddings_ = register_parameter("position_embeddings", deviation * torch::randn({1, tokens, width}));
}

torch::Tensor LearntPositions::forward(const torch::Tensor& x) {
  const auto dims = static_cast<int64_t>(grid_.size());
  const Extent grid = x.sizes().slice(1, static_cast<size_t>(dims)).vec();
  torch::Tensor learnt = embeddings_.unflatten(1, grid_);
  if (grid != grid_)
    learnt = linear_resized(learnt.movedim(-1, 1), grid, /*align_corners=*/true).movedim(1, -1);
  return x + learnt.to(x.scalar_type());
}

PatchEmbedding::PatchEmbedding(int64_t in_channels, int64_t width, int64_t patch, const Extent& grid,
                               double deviation)
    : LearntPositions(grid, width, deviation) {
  const auto dims = static_cast<int64_t>(grid.size());
  patches_ = register_module(
      "patch_embeddings",
      conv(dims, in_channels, width, patch, {.stride = cube(dims, patch), .padding = cube(dims, 0)}));
}

torch::Tensor PatchEmbedding::forward(const torch::Tensor& x) {
  return LearntPositions::forward(patches_->forward(x).movedim(1, -1));
}

}  // namespace mambaseg
