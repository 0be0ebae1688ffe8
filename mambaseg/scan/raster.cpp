// Raster order, and what can be done to any order.

#include <algorithm>
#include <limits>
#include <numeric>

#include "mambaseg/core/error.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {

int64_t token_count(TokenGrid grid) {
  int64_t count = 1;
  for (const int64_t extent : grid) {
    require(extent > 0, "scan order: expected a grid of positive extents, got ", grid[0], " x ", grid[1],
            " x ", grid[2]);
    require(extent <= std::numeric_limits<int32_t>::max() / count,
            "scan order: expected at most 2^31 - 1 tokens, got ", grid[0], " x ", grid[1], " x ", grid[2]);
    count *= extent;
  }
  return count;
}

ScanOrder raster_order(int64_t length) {
  ScanOrder order(token_count({1, 1, length}));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

ScanOrder reversed(const ScanOrder& order) { return {order.rbegin(), order.rend()}; }

ScanOrder inverse(const ScanOrder& order) {
  ScanOrder result(order.size());
  for (size_t t = 0; t < order.size(); ++t) result[order[t]] = static_cast<int32_t>(t);
  return result;
}

}  // namespace mambaseg
