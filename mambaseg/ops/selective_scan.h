#pragma once

#include <span>

#include <torch/types.h>

#include "mambaseg/scan/order.h"

namespace mambaseg {

/// K walks over the same L tokens, as the scan kernel wants them: a walk that is another one backwards shares
/// its table.
struct ScanTables {
  torch::Tensor index_TL;          ///< int32 (tables, L)
  std::vector<int> table;          ///< per direction: row of index_TL
  std::vector<uint8_t> backwards;  ///< per direction: walk that row from its end
  int64_t directions() const { return static_cast<int64_t>(table.size()); }
  /// Direction k alone.
  ScanTables only(int64_t k) const { return {index_TL, {table[k]}, {backwards[k]}}; }
  /// The tokens of direction k in the order of the walk: int32 (L).
  torch::Tensor order_L(int64_t k) const;
};

/// Tables for `orders` (all of one length) on `device`.
ScanTables make_scan_tables(std::span<const ScanOrder> orders, torch::Device device = torch::kCPU);

/// Inputs of the selective scan (Mamba-1, Gu & Dao 2023), tokens channels-last and in raster order.
/// B batch, L tokens, K directions, C channels, G groups (C divisible by G), N states.
struct SelectiveScanInputs {
  torch::Tensor u;           ///< (B, L, C) shared by the directions, or (B, L, K, C)
  torch::Tensor delta;       ///< (B, L, K, C), before bias and softplus
  torch::Tensor A;           ///< (K, C, N), negative
  torch::Tensor B;           ///< (B, L, K, G, N), or (K, C, N) when it does not depend on the token
  torch::Tensor C;           ///< as B
  torch::Tensor D;           ///< (K, C) skip weight, or undefined
  torch::Tensor z;           ///< (B, L, C) gate, shared by the directions, or undefined
  torch::Tensor delta_bias;  ///< (K, C), or undefined
  bool delta_softplus = true;
  torch::optional<torch::ScalarType> type = {};  ///< of the result: that of u unless given
};

/// For each direction k the recurrence over the steps t of its walk, p = order_k[t]:
///   dt = softplus(delta[p] + bias),  x = exp(dt * A) * x + dt * B[p] * u[p],  y_k[p] = C[p] . x + D * u[p],
/// and returns the sum over k of y_k, times silu(z) when z is given: (B, L, C). State and sums in
/// fp32 (fp64 for fp64 inputs); u, delta, B, C and z are read as they are when all are bf16. Differentiable
/// in every tensor. `tables` null means one direction in raster order. `last_state`, when given, receives x
/// after the last step, (B, K, C, N), without gradient. Throws c10::Error on shapes that do not fit.
torch::Tensor selective_scan(const SelectiveScanInputs& inputs, const ScanTables* tables = nullptr,
                             torch::Tensor* last_state = nullptr);

}  // namespace mambaseg
