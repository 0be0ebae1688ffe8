#pragma once

#include <string>

#include "mambaseg/nets/blocks/chosen_walks.h"
#include "mambaseg/nets/blocks/scan_projection.h"
#include "mambaseg/nets/blocks/scan_twin.h"
#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/recompute.h"

namespace mambaseg {

/// How an SS2D mixer is built; the defaults are those of the official class. Unless others are chosen for the
/// network (ChosenOrdersGuard), its walks are
/// - cross: rows and columns, forwards and backwards (VMamba)
/// - mirrored: rows and mirrored rows, forwards and backwards
/// - raster: rows from the first token
/// - atrous: every step-th token of every step-th row: sub-grids that know nothing of each other, each with
///   weights of its own (ASP-VMUNet)
/// - atrous_cross: the sum of those over the plane, transposed, turned by 180 degrees, and both
struct Ss2dSettings {
  int64_t width = 96;       ///< channels of the tokens
  int64_t states = 16;      ///< N, states of the recurrence a channel
  int64_t conv_kernel = 3;  ///< edge of the depthwise convolution, odd
  double expand = 2;        ///< channels inside / width
  int64_t dt_rank = 0;      ///< rank of the projection to the time steps; 0 is width / 16, rounded up
  double dropout = 0;       ///< after the output projection
  bool bias = false;        ///< of the input and output projections
  bool conv_bias = true;    ///< of the depthwise convolution
  std::string walks = "cross";
  int64_t step = 2;  ///< of the atrous walks
};

/// The 2-D selective scan mixer of VMamba's first version (Liu et al. 2024), as VM-UNet uses it: projection
/// with a gate, depthwise convolution, a selective scan along four walks over the plane, sum of the walks,
/// norm, gate, projection. Parameter names equal those of the official class; each walk has weights of its
/// own.
class SS2D : public Layer {
 public:
  /// UsageError for walks that do not exist.
  explicit SS2D(const Ss2dSettings& settings);
  /// x (B, Y, X, width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BYXC) override;

  /// QuarterMap (Chi et al. 2025), for a network that is trained: from now on, on planes of `tokens` tokens
  /// or more, one of 2 x 2 positions is scanned and normed, and stands for all four. 0: on none.
  void quarter_from(int64_t tokens) { quarter_from_ = tokens; }

 private:
  /// What the walks over the plane (B, Y, X, C) add up to.
  torch::Tensor scanned(const torch::Tensor& u_BYXC);
  /// The scans of the plane's sub-grids, by the directions' weights from `first` on.
  torch::Tensor atrous_scanned(const torch::Tensor& u_BYXC, int64_t first);

  /// The walks in one pass, or those of the sub-grids.
  std::vector<ScanOrder> orders(TokenGrid grid) const;

  Ss2dSettings settings_;
  int64_t channels_, rank_;
  std::optional<NamedOrders> chosen_;
  bool atrous_;
  int64_t quarter_from_ = 0;
  std::shared_ptr<Linear> in_proj_, out_proj_;
  std::shared_ptr<Convolution> conv2d_;
  std::shared_ptr<LayerNorm> out_norm_;
  std::shared_ptr<Dropout> dropout_;
  ScanParameters scan_;
  RecentGrids<ScanTables> walks_;
  std::shared_ptr<ScanTwin> twin_;  ///< in place of the six before
};

/// SS2D::quarter_from(tokens) for every SS2D of a network. UsageError where it has none.
void quarter_scans(torch::nn::Module& network, int64_t tokens);

/// x + path(SS2D(norm(x))), the block of VMamba's first version, without an MLP. `path` leaves the branch out
/// for a sample with the chance drop_path while training (stochastic depth). Prefixes "ln_1",
/// "self_attention".
class VssBlock2d : public RecomputableLayer {
 public:
  explicit VssBlock2d(const Ss2dSettings& mixer, double drop_path = 0, double norm_eps = 1e-5);

 private:
  /// x (B, Y, X, width) -> the same sizes
  torch::Tensor compute(const torch::Tensor& x_BYXC) override;

  std::shared_ptr<LayerNorm> ln_1_;
  std::shared_ptr<SS2D> mixer_;
  std::shared_ptr<DropPath> path_;
};

}  // namespace mambaseg
