// The walks of the vanilla SS3D (MedSegMamba): raster over four axis orders.

#include "mambaseg/scan/axis_walk.h"

namespace mambaseg {

std::vector<ScanOrder> axis_raster_orders(TokenGrid grid) {
  constexpr WalkAxis H{0, false}, W{1, false}, D{2, false};
  std::vector<ScanOrder> walks;
  for (const WalkAxes& axes : {WalkAxes{H, W, D}, WalkAxes{W, H, D}, WalkAxes{D, W, H}, WalkAxes{H, D, W}}) {
    walks.push_back(axis_walk(grid, axes, BaseCurve::sweep));
  }
  return with_reversals(std::move(walks));
}

}  // namespace mambaseg
