// The spiral of UM-Mamba (2025; of its text the abstract alone is known): from a corner along the border and
// on inwards.

#include "mambaseg/core/error.h"
#include "mambaseg/scan/axis_walk.h"

namespace mambaseg {
namespace {

ScanOrder spiral_order(TokenGrid grid) {
  ScanOrder order;
  order.reserve(static_cast<size_t>(token_count(grid)));
  const auto visit = [&](int64_t y, int64_t x) { order.push_back(static_cast<int32_t>(y * grid[2] + x)); };
  int64_t top = 0, left = 0, bottom = grid[1] - 1, right = grid[2] - 1;
  for (; top <= bottom && left <= right; ++top, ++left, --bottom, --right) {
    for (int64_t x = left; x <= right; ++x) visit(top, x);
    for (int64_t y = top + 1; y <= bottom; ++y) visit(y, right);
    if (top == bottom || left == right) continue;  // a ring of one row or column has no way back
    for (int64_t x = right - 1; x >= left; --x) visit(bottom, x);
    for (int64_t y = bottom - 1; y > top; --y) visit(y, left);
  }
  return order;
}

}  // namespace

std::vector<ScanOrder> spiral_orders(TokenGrid grid) {
  require(grid[0] == 1, "spiral order: expected a plane, got a grid of ", grid[0], " planes");
  return along_rows_and_columns(grid, spiral_order);
}

}  // namespace mambaseg
