// The four walks that the HyM-UNet paper (arXiv 2511.17988, section II-C) lists, read literally: from each
// corner of the plane to the opposite one, row by row.

#include "mambaseg/core/error.h"
#include "mambaseg/scan/axis_walk.h"

namespace mambaseg {

std::vector<ScanOrder> mirrored_row_orders(TokenGrid grid) {
  require(grid[0] == 1, "mirrored rows: expected a plane, got a grid of ", grid[0], " planes");
  constexpr WalkAxis plane{0, false}, row{1, false}, column{2, false}, mirrored_column{2, true};
  return with_reversals({axis_walk(grid, {plane, row, column}, BaseCurve::sweep),
                         axis_walk(grid, {plane, row, mirrored_column}, BaseCurve::sweep)});
}

}  // namespace mambaseg
