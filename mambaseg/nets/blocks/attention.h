#pragma once

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/ops/attention.h"

namespace mambaseg {

struct AttentionSettings {
  int64_t width = 768;  ///< channels of the tokens, a multiple of `heads`
  int64_t heads = 12;
  bool bias = false;       ///< of queries, keys and values
  double dropout = 0;      ///< training: of the weights
  double out_dropout = 0;  ///< training: behind the last projection
  bool separate =
      false;  ///< layers "query", "key" and "value" instead of "qkv", which gives one after the other
  const char* out = "proj";  ///< name of the last projection
};

/// Multi-head self attention (Vaswani et al. 2017) of all tokens of an item, whatever their grid. UsageError
/// where the heads do not divide the width.
class SelfAttention : public Layer {
 public:
  explicit SelfAttention(const AttentionSettings& settings);
  /// x (B, ..., width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override;
  /// How much each query takes of each key: x (N, L, width) -> (N, heads, L, L), rows of sum 1. Dropout
  /// apart.
  torch::Tensor weights(const torch::Tensor& x_NLC);

 protected:
  /// x (N, L, width) -> the same sizes
  torch::Tensor attended(const torch::Tensor& x_NLC, const AttentionBias& bias);

 private:
  /// Each (N, heads, L, width / heads).
  std::vector<torch::Tensor> queries_keys_values(const torch::Tensor& x_NLC);

  int64_t heads_;
  double dropout_;
  std::vector<std::shared_ptr<Linear>> projections_;  ///< one of all, or three
  std::shared_ptr<Linear> out_;
  std::shared_ptr<Dropout> out_dropout_;
};

/// Adds what was learnt for each place of a grid of tokens. On another grid than that it is interpolated
/// linearly, outermost places kept, as TransUNet does with pretrained positions. Parameter
/// "position_embeddings" (1, tokens, width), row-major.
class LearntPositions : public Layer {
 public:
  /// The positions start normal with this deviation.
  LearntPositions(const Extent& grid, int64_t width, double deviation = 0);
  /// x (B, grid..., width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BSC) override;

 private:
  Extent grid_;
  torch::Tensor embeddings_;
};

/// The same after each patch of an image became a token (Dosovitskiy et al. 2020). Prefix "patch_embeddings".
class PatchEmbedding : public LearntPositions {
 public:
  /// `grid` in patches of edge `patch`; positions start as LearntPositions has it.
  PatchEmbedding(int64_t in_channels, int64_t width, int64_t patch, const Extent& grid, double deviation = 0);
  /// x (B, in_channels, S...) -> (B, S / patch..., width)
  torch::Tensor forward(const torch::Tensor& x_BCS) override;

 private:
  std::shared_ptr<Convolution> patches_;
};

}  // namespace mambaseg
