// The local scan of LocalMamba (Huang et al. 2024): windows one after the other, each in raster order.
// Windows at the far borders are what is left of them.

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/scan/axis_walk.h"

namespace mambaseg {
namespace {

ScanOrder window_order(TokenGrid grid, int64_t edge) {
  ScanOrder order;
  order.reserve(static_cast<size_t>(token_count(grid)));
  const auto end = [&](int64_t from, int axis) { return std::min(from + edge, grid[axis]); };
  for (int64_t i = 0; i < grid[0]; i += edge)
    for (int64_t j = 0; j < grid[1]; j += edge)
      for (int64_t k = 0; k < grid[2]; k += edge)
        for (int64_t z = i; z < end(i, 0); ++z)
          for (int64_t y = j; y < end(j, 1); ++y)
            for (int64_t x = k; x < end(k, 2); ++x)
              order.push_back(static_cast<int32_t>((z * grid[1] + y) * grid[2] + x));
  return order;
}

}  // namespace

std::vector<ScanOrder> window_orders(TokenGrid grid, int64_t edge) {
  require(edge > 0, "window order: expected windows of 1 token or more, got ", edge);
  return along_rows_and_columns(grid, [edge](TokenGrid g) { return window_order(g, edge); });
}

}  // namespace mambaseg
