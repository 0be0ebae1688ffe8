#pragma once

#include <string>

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/types.h>

#include "mambaseg/nets/blocks/layers.h"
#include "mambaseg/nets/blocks/of_last_grid.h"
#include "mambaseg/nets/blocks/scan_projection.h"
#include "mambaseg/nets/blocks/token_module.h"
#include "mambaseg/ops/selective_scan.h"

namespace mambaseg {

/// How an SS3D mixer is built.
struct Ss3dSettings {
  int64_t width = 1024;        ///< channels of the tokens
  int64_t states = 64;         ///< N, states of the recurrence a channel
  int64_t conv_kernel = 3;     ///< edge of the depthwise convolution, odd
  double expand = 1;           ///< channels inside / width
  int64_t dt_rank = 0;         ///< rank of the projection to the time steps; 0 is width / 16, rounded up
  double dropout = 0;          ///< after the output projection
  bool bias = false;           ///< of the input and output projections
  bool conv_bias = true;       ///< of the depthwise convolution
  std::string variant = "v5";  ///< v5: 8 of 48 snakes; v6: 6 raster walks; vanilla: 4 raster walks and a gate
  std::string walk = "snake";  ///< v5: snake or sweep
  int64_t orientation = 0;     ///< which walks: v5 modulo 6, v6 modulo 8
};

/// The 3-D selective scan mixer of MedSegMamba (Cao et al. 2024, models/SS3D.py): projection, depthwise
/// convolution, a selective scan along several walks over the token grid, sum of the walks, norm, projection.
/// Parameter names equal those of the official class; its index tables (scans.index_flat) are not stored but
/// computed for the grid at hand, so grids of any size work.
class SS3D : public TokenModule {
 public:
  explicit SS3D(const Ss3dSettings& settings);

  torch::Tensor forward(const torch::Tensor& x_BZYXC) override;

  /// Compares an official table of the basic walk over a cube (scans.index_flat, or its inverse
  /// scans.index_flat_inv) with ours. Throws Error.
  void check_walk_table(const torch::Tensor& table, bool inverse) const;
  /// Whether the official class stores such tables.
  bool has_walk_table() const { return settings_.variant == "v5"; }

 private:
  struct Walks {
    ScanTables tables;
    std::vector<torch::Tensor>
        misplaced;  ///< vanilla: raster position that each output is read from, per walk
  };

  Walks make_walks(const TokenGrid& grid, torch::Device device) const;
  ScanWeights scan_weights() const;
  torch::Tensor scan(const torch::Tensor& tokens_BLC, const Walks& walks) const;

  Ss3dSettings settings_;
  int64_t channels_, rank_, directions_;
  Linear in_proj_{nullptr}, out_proj_{nullptr};
  torch::nn::Conv3d conv3d_{nullptr};
  LayerNorm out_norm_{nullptr};
  torch::nn::Dropout dropout_{nullptr};
  torch::Tensor x_proj_weight_;                    ///< (K, rank + 2N, C)
  torch::Tensor dt_projs_weight_, dt_projs_bias_;  ///< (K, C, rank), (K, C)
  PackedWeights packed_;                           ///< of x_proj_weight_
  torch::Tensor A_logs_, Ds_;                      ///< (K * C, N), (K * C)
  OfLastGrid<Walks> walks_;
};

}  // namespace mambaseg
