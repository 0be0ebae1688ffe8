#pragma once

#include <string>

#include "mambaseg/nets/blocks/chosen_walks.h"
#include "mambaseg/nets/blocks/scan_projection.h"
#include "mambaseg/nets/blocks/scan_twin.h"
#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {

/// How an SS3D mixer is built. Where orders are chosen for the network (ChosenOrdersGuard), each of their
/// walks has weights of its own, whatever the variant's.
struct Ss3dSettings {
  int64_t width = 1024;     ///< channels of the tokens
  int64_t states = 64;      ///< N, states of the recurrence a channel
  int64_t conv_kernel = 3;  ///< edge of the depthwise convolution, odd
  double expand = 1;        ///< channels inside / width
  int64_t dt_rank = 0;      ///< rank of the projection to the time steps; 0 is width / 16, rounded up
  double dropout = 0;       ///< after the output projection
  bool bias = false;        ///< of the input and output projections
  bool conv_bias = true;    ///< of the depthwise convolution
  /// v5: 8 of 48 snakes; v6: 6 raster walks; vanilla: 4 raster walks and a gate; cyclic: 4 of 6 raster walks
  /// and a gate
  std::string variant = "v5";
  std::string walk = "snake";  ///< v5: snake or sweep
  int64_t orientation = 0;     ///< which walks: v5 modulo 6, v6 modulo 8
};

/// The 3-D selective scan mixer of MedSegMamba (Cao et al. 2024, models/SS3D.py): projection, depthwise
/// convolution, a selective scan along several walks over the token grid, sum of the walks, norm, projection.
/// Parameter names equal those of the official class; its index tables (scans.index_flat) are not stored but
/// computed for the grid at hand, so grids of any size work. The cyclic variant is nnUZoo's SSND in three
/// dimensions.
class SS3D : public Layer, public ComputesEntries {
 public:
  explicit SS3D(const Ss3dSettings& settings);

  torch::Tensor forward(const torch::Tensor& x_BZYXC) override;

  /// The official class of v5 stores tables of the basic walk over a cube: scans.index_flat and its inverse.
  bool check_computed(const std::string& name, const torch::Tensor& value) const override;

 private:
  struct Walks {
    ScanTables tables;
    std::vector<torch::Tensor>
        misplaced;  ///< raster position that each output is read from; vanilla: per walk, cyclic: of one
  };

  Walks make_walks(const TokenGrid& grid, torch::Device device) const;
  torch::Tensor scan(const torch::Tensor& tokens_BLC, const Walks& walks) const;
  torch::Tensor vanilla_scan(const torch::Tensor& tokens_BLC, const Walks& walks) const;
  torch::Tensor cyclic_scan(const torch::Tensor& tokens_BLC, const Walks& walks) const;

  Ss3dSettings settings_;
  std::optional<NamedOrders> chosen_;
  int64_t channels_, rank_, directions_;
  bool gated_;
  std::shared_ptr<Linear> in_proj_, out_proj_;
  std::shared_ptr<Convolution> conv3d_;
  std::shared_ptr<LayerNorm> out_norm_;
  std::shared_ptr<Dropout> dropout_;
  ScanParameters scan_;
  RecentGrids<Walks> walks_;
  std::shared_ptr<ScanTwin> twin_;  ///< in place of the six before
};

}  // namespace mambaseg
