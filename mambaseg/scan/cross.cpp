// The cross scan of SS2D (VMamba, Liu et al. 2024): rows, columns, and both backwards.

#include "mambaseg/core/error.h"
#include "mambaseg/scan/axis_walk.h"

namespace mambaseg {

std::vector<ScanOrder> cross_orders(TokenGrid grid) {
  require(grid[0] == 1, "cross order: expected a plane, got a grid of ", grid[0], " planes");
  constexpr WalkAxis plane{0, false}, row{1, false}, column{2, false};
  return with_reversals({axis_walk(grid, {plane, row, column}, BaseCurve::sweep),
                         axis_walk(grid, {plane, column, row}, BaseCurve::sweep)});
}

}  // namespace mambaseg
