#pragma once

#include "mambaseg/ops/attention.h"

// What attention's autograd function and its implementations share; not for others.

namespace mambaseg {

/// Operands as attention() has them; all tensors of one device.
struct AttentionOperands {
  torch::Tensor q, k, v;  ///< (N, heads, L, D) of one type
  AttentionBias bias;
  torch::Tensor kept;  ///< (N, heads, L, L), bool: the weights that dropout keeps; undefined: all
  double dropout = 0;  ///< the others are scaled by 1 / (1 - dropout)
};

struct AttentionGradients {
  torch::Tensor q, k, v;  ///< as q, k and v
  torch::Tensor pairs;    ///< as bias.of_pairs, undefined where that is
};

/// y (N, L, heads, D) and the gradients of dy (N, L, heads, D). On the CPU by our kernels (fp32 and bf16), by
/// LibTorch's operations for every device and type.
torch::Tensor attention_forward_cpu(const AttentionOperands& operands);
AttentionGradients attention_backward_cpu(const AttentionOperands& operands, const torch::Tensor& dy);
torch::Tensor attention_forward_libtorch(const AttentionOperands& operands);
AttentionGradients attention_backward_libtorch(const AttentionOperands& operands, const torch::Tensor& dy);

}  // namespace mambaseg
