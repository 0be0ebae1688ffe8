#pragma once

#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include "mambaseg/ops/dense.h"
#include "mambaseg/ops/selective_scan.h"

namespace mambaseg {

/// The weights that make the operands of a selective scan from tokens, for K directions (Mamba: one).
/// C channels, N states, R rank of the time steps' projection.
struct ScanWeights {
  torch::Tensor x_proj;       ///< (K, R + 2N, C): tokens -> low-rank time steps, B, C
  torch::Tensor dt_proj;      ///< (K, C, R)
  torch::Tensor dt_bias;      ///< (K, C): enters inside the scan, before the softplus
  torch::Tensor A_log;        ///< (K, C, N)
  torch::Tensor D;            ///< (K, C)
  PackedWeights packed = {};  ///< of x_proj, kept by the layer

  /// Those of the first `directions`.
  ScanWeights first(int64_t directions) const;
};

/// The parameters of a scan in K directions as VMamba's SS2D names and begins them. Empty when made without a
/// module.
class ScanParameters {
 public:
  ScanParameters() = default;
  /// Registers them in `module`: x_proj_weight, dt_projs_weight, dt_projs_bias, A_logs (K * C, N), Ds (K *
  /// C).
  ScanParameters(torch::nn::Module& module, int64_t channels, int64_t rank, int64_t states,
                 int64_t directions);

  ScanWeights weights() const;
  /// Those of one direction alone.
  ScanWeights weights_of(int64_t direction) const;

 private:
  torch::Tensor x_proj_weight_, dt_projs_weight_, dt_projs_bias_, A_logs_, Ds_;
  PackedWeights packed_;
  std::vector<PackedWeights> packed_each_;  ///< for weights_of
};

/// The operands for `tokens`, which lie in raster order whatever the walks. B, C and the result are fp32
/// (fp64 in double): the scan has no smaller state.
SelectiveScanInputs project_scan_inputs(const torch::Tensor& tokens_BLC, const ScanWeights& weights);

}  // namespace mambaseg
