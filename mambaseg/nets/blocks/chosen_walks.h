#pragma once

#include <optional>

#include "mambaseg/nets/blocks/recent_grids.h"
#include "mambaseg/ops/selective_scan.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {

/// Of tokens (B, sizes..., C) on one to three axes.
TokenGrid grid_of(const torch::Tensor& tokens);

/// The orders that a network's setting puts in place of those of the mixer that is being made on a grid of
/// `dims` axes, or nothing. UsageError for planar orders of a volume.
std::optional<NamedOrders> chosen_orders(int64_t dims);

/// The walk of a mixer that reads its tokens as one row: raster order, or the first of the orders that are
/// chosen for the network.
class RowWalk {
 public:
  /// Of tokens on a grid of `dims` axes. 1: a sequence that lies on no grid and keeps its order.
  explicit RowWalk(int64_t dims);
  /// For tokens (B, sizes..., C), as many sizes as dims; from the end where `backwards`. Null: raster order.
  std::shared_ptr<const ScanTables> over(const torch::Tensor& tokens, bool backwards = false);

 private:
  std::optional<NamedOrders> orders_;
  RecentGrids<ScanTables> walks_;  ///< forwards
};

}  // namespace mambaseg
