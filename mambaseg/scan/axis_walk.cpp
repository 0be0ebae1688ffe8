#include "mambaseg/scan/axis_walk.h"

namespace mambaseg {

ScanOrder axis_walk(TokenGrid grid, const WalkAxes& axes, BaseCurve curve) {
  const std::array<int64_t, 3> extent = {grid[axes[0].axis], grid[axes[1].axis], grid[axes[2].axis]};
  ScanOrder order;
  order.reserve(token_count(grid));
  const auto visit = [&](std::array<int64_t, 3> place) {
    std::array<int64_t, 3> cell{};
    for (int i = 0; i < 3; ++i) cell[axes[i].axis] = axes[i].mirrored ? extent[i] - 1 - place[i] : place[i];
    order.push_back(static_cast<int32_t>((cell[0] * grid[1] + cell[1]) * grid[2] + cell[2]));
  };
  for (int64_t slow = 0; slow < extent[0]; ++slow) {
    for (int64_t a = 0; a < extent[1]; ++a) {
      for (int64_t b = 0; b < extent[2]; ++b) {
        if (curve == BaseCurve::sweep) {
          visit({slow, a, b});
          continue;
        }
        // An odd plane is the even plane's walk with both of its axes mirrored.
        const bool odd_plane = slow % 2 == 1;
        const int64_t middle = odd_plane ? extent[1] - 1 - a : a;
        const bool odd_row = middle % 2 == 1;
        visit({slow, middle, odd_row != odd_plane ? extent[2] - 1 - b : b});
      }
    }
  }
  return order;
}

std::vector<ScanOrder> with_reversals(std::vector<ScanOrder> walks) {
  const size_t forward = walks.size();
  for (size_t k = 0; k < forward; ++k) walks.push_back(reversed(walks[k]));
  return walks;
}

std::vector<ScanOrder> along_rows_and_columns(TokenGrid grid,
                                              const std::function<ScanOrder(TokenGrid)>& walk) {
  const ScanOrder swapped = axis_walk(grid, {{{0, false}, {2, false}, {1, false}}}, BaseCurve::sweep);
  ScanOrder columns = walk({grid[0], grid[2], grid[1]});
  for (int32_t& token : columns) token = swapped[static_cast<size_t>(token)];
  return with_reversals({walk(grid), std::move(columns)});
}

}  // namespace mambaseg
