#pragma once

#include <algorithm>
#include <vector>

#include <torch/types.h>

// What the selective scan's autograd function, its CPU part and its CUDA part share; not for others.

namespace mambaseg {

/// The operands of one call, rows contiguous, and the walks. u, delta, B, C and z are of one type: double,
/// float or bfloat16; the others double with double, else float.
struct ScanOperands {
  torch::Tensor u, delta, A, B, C, D, z, delta_bias;
  bool delta_softplus = true;
  torch::Tensor index_TL;  // undefined: raster
  std::vector<int64_t> table, backwards;

  int64_t batch() const { return delta.size(0); }
  int64_t length() const { return delta.size(1); }
  int64_t directions() const { return delta.size(2); }
  int64_t channels() const { return delta.size(3); }
  int64_t states() const { return A.size(2); }
  int64_t groups() const { return std::max(B.dim() == 5 ? B.size(3) : 1, C.dim() == 5 ? C.size(3) : 1); }
};

/// float (double for double operands), whatever the type of u.
struct ScanResult {
  torch::Tensor y;           ///< (B, L, C) before the gate
  torch::Tensor gated;       ///< y itself without a gate, and where y need not be kept
  torch::Tensor borders;     ///< what the backward pass wants; undefined when not asked for
  torch::Tensor last_state;  ///< (B, K, C, N), undefined when not asked for
};
struct ScanGradients {
  torch::Tensor u, delta, A, B, C, D, delta_bias;
};

ScanResult scan_forward_cpu(const ScanOperands& operands, bool keep_borders, bool keep_state);
ScanGradients scan_backward_cpu(const ScanOperands& operands, const torch::Tensor& grad_out,
                                const torch::Tensor& borders);

/// Throw c10::Error where the GPU kernels were not built or do not take the operands.
ScanResult scan_forward_cuda(const ScanOperands& operands, bool keep_borders, bool keep_state);
ScanGradients scan_backward_cuda(const ScanOperands& operands, const torch::Tensor& grad_out,
                                 const torch::Tensor& borders);

/// Where batch item b, direction k of a (B, L, C), (B, L, K, ...) or (K, ...) tensor starts; null when it is
/// undefined.
template <class T>
T* scan_part(const torch::Tensor& tensor, int64_t b, int64_t k, int64_t token_dims) {
  if (!tensor.defined()) return nullptr;
  T* data = static_cast<T*>(tensor.data_ptr());
  if (token_dims == 0) return data + k * tensor.stride(0);
  return data + b * tensor.stride(0) + (tensor.dim() > 3 ? k * tensor.stride(2) : 0);
}
template <class T>
T* per_token(const torch::Tensor& tensor, int64_t b, int64_t k) {
  return scan_part<T>(tensor, b, k, 2);
}
template <class T>
T* per_direction(const torch::Tensor& tensor, int64_t k) {
  return scan_part<T>(tensor, 0, k, 0);
}

}  // namespace mambaseg
