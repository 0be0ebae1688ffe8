#pragma once

#include <torch/types.h>

namespace mambaseg {

/// What attention adds to its scores before the softmax.
struct AttentionBias {
  torch::Tensor of_pairs;  ///< (heads, L, L), of each query and key; undefined: nothing
  /// (W, L), whole numbers: item i reads row i modulo W, and a key of another region than the query's loses
  /// 100, after which next to nothing is left of its weight; undefined: one region.
  torch::Tensor regions;
};

/// softmax(q k^T / sqrt(D) + bias) v over all L keys (Vaswani et al. 2017): q, k, v (N, heads, L, D) of one
/// type and any strides -> (N, L, heads * D) of that type. While training, `dropout` is the chance that a
/// weight becomes 0; the others are scaled up. Differentiable in q, k, v and of_pairs. fp32 and bf16 on the
/// CPU by a kernel that holds the scores of 16 queries a thread and sums in fp32; elsewhere by LibTorch's
/// operations, 32 MiB of scores at a time. The backward pass computes them again and keeps a byte a weight
/// where dropout chose. Same bits for the same number of threads.
torch::Tensor attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                        const AttentionBias& bias = {}, double dropout = 0);

}  // namespace mambaseg
