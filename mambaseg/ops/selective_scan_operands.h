#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <torch/types.h>

#include "mambaseg/kernels/selective_scan_cuda.h"
#include "mambaseg/ops/selective_scan.h"

// What the selective scan's autograd function and its implementations share; not for others.

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

/// What the choice of an implementation depends on.
struct ScanCall {
  torch::Device device = torch::kCPU;
  torch::ScalarType type = torch::kFloat;  ///< of u
  bool constant_states = false;            ///< B or C is the same for all tokens
  int64_t states = 1;
  bool cuda_kernels = cuda_kernels_built();
};

/// `borders` are those of the same implementation.
struct ScanImplementation {
  const char* name;
  std::string (*why_not)(const ScanCall& call);
  ScanResult (*forward)(const ScanOperands& operands, bool keep_borders, bool keep_state);
  ScanGradients (*backward)(const ScanOperands& operands, const torch::Tensor& grad_out,
                            const torch::Tensor& borders);
};

/// In the order in which they are asked (implementation.h).
extern const ScanImplementation kScanImplementations[3];

/// selective_scan by one of them, which must take it.
torch::Tensor selective_scan_by(const ScanImplementation& implementation, const SelectiveScanInputs& inputs,
                                const ScanTables* tables, torch::Tensor* last_state);

std::string why_not_scan_cuda(const ScanCall& call);
ScanResult scan_forward_cuda(const ScanOperands& operands, bool keep_borders, bool keep_state);
ScanGradients scan_backward_cuda(const ScanOperands& operands, const torch::Tensor& grad_out,
                                 const torch::Tensor& borders);

/// Floats that the directions of one launch may take of a GPU beside operands and results: 512 MiB.
constexpr int64_t kMostScanScratch = int64_t{128} << 20;
/// Into how many groups, one launch after the other, the directions go; sums over them are the same to the
/// bit in any case.
int64_t scan_direction_groups(int64_t directions, int64_t floats_a_direction);

std::string why_not_scan_cpu(const ScanCall& call);
ScanResult scan_forward_cpu(const ScanOperands& operands, bool keep_borders, bool keep_state);
ScanGradients scan_backward_cpu(const ScanOperands& operands, const torch::Tensor& grad_out,
                                const torch::Tensor& borders);

ScanResult scan_forward_libtorch(const ScanOperands& operands, bool keep_borders, bool keep_state);
ScanGradients scan_backward_libtorch(const ScanOperands& operands, const torch::Tensor& grad_out,
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
