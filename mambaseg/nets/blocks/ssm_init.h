#pragma once

#include <torch/types.h>

/// Start values that every selective scan network shares (Mamba, Gu & Dao 2023).
namespace mambaseg::ssm_init {

/// log(1 .. states) in every row: (rows, states)
torch::Tensor A_log(int64_t rows, int64_t states);

/// Uniform in +-rank^-0.5
torch::Tensor dt_weight(at::IntArrayRef sizes, int64_t rank);

/// Inverse softplus of time steps that are log-uniform in [0.001, 0.1]
torch::Tensor dt_bias(at::IntArrayRef sizes);

}  // namespace mambaseg::ssm_init
