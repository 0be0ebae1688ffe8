// The walks of SSND (nnUZoo) in three dimensions: raster over the three cyclic axis orders.

#include "mambaseg/scan/axis_walk.h"

namespace mambaseg {

std::vector<ScanOrder> cyclic_raster_orders(TokenGrid grid) {
  constexpr WalkAxis Z{0, false}, H{1, false}, W{2, false};
  std::vector<ScanOrder> walks;
  for (const WalkAxes& axes : {WalkAxes{Z, H, W}, WalkAxes{W, Z, H}, WalkAxes{H, W, Z}})
    walks.push_back(axis_walk(grid, axes, BaseCurve::sweep));
  return with_reversals(std::move(walks));
}

}  // namespace mambaseg
