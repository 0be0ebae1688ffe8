// The walks along diagonals that RS-Mamba (Zhao et al. 2024) has beside rows and columns: down to the left
// from token to token and diagonal after diagonal, the same in the mirrored plane, both backwards.

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/scan/axis_walk.h"

namespace mambaseg {
namespace {

ScanOrder diagonals(TokenGrid grid, bool mirrored) {
  ScanOrder order;
  order.reserve(static_cast<size_t>(token_count(grid)));
  for (int64_t sum = 0; sum < grid[1] + grid[2] - 1; ++sum)
    for (int64_t y = std::max<int64_t>(0, sum - grid[2] + 1); y <= std::min(sum, grid[1] - 1); ++y) {
      const int64_t x = mirrored ? grid[2] - 1 - (sum - y) : sum - y;
      order.push_back(static_cast<int32_t>(y * grid[2] + x));
    }
  return order;
}

}  // namespace

std::vector<ScanOrder> diagonal_orders(TokenGrid grid) {
  require(grid[0] == 1, "diagonal order: expected a plane, got a grid of ", grid[0], " planes");
  return with_reversals({diagonals(grid, false), diagonals(grid, true)});
}

std::vector<ScanOrder> omnidirectional_orders(TokenGrid grid) {
  std::vector<ScanOrder> walks = cross_orders(grid);
  for (ScanOrder& walk : diagonal_orders(grid)) walks.push_back(std::move(walk));
  return walks;
}

}  // namespace mambaseg
