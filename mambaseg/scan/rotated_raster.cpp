// The walks of SS3D_v6 (MedSegMamba): raster over a turned grid, in three axis orders.

#include "mambaseg/core/error.h"
#include "mambaseg/scan/axis_walk.h"

namespace mambaseg {
namespace {

constexpr WalkAxis H{0, false}, W{1, false}, D{2, false};
constexpr WalkAxis h{0, true}, w{1, true}, d{2, true};  // mirrored

// Slow, middle, fast axis of the turned grid.
constexpr std::array<WalkAxes, 8> kTurns = {{
    {H, W, D},
    {w, H, D},
    {H, d, W},
    {D, W, h},
    {w, h, d},
    {h, W, d},
    {D, h, w},
    {w, d, H},
}};

}  // namespace

std::vector<ScanOrder> rotated_raster_orders(TokenGrid grid, int orientation) {
  require(orientation >= 0, "rotated raster order: expected an orientation of 0 or more, got ", orientation);
  const auto& [slow, middle, fast] = kTurns[orientation % 8];
  std::vector<ScanOrder> walks;
  for (const WalkAxes& axes :
       {WalkAxes{slow, middle, fast}, WalkAxes{fast, middle, slow}, WalkAxes{slow, fast, middle}}) {
    walks.push_back(axis_walk(grid, axes, BaseCurve::sweep));
  }
  return with_reversals(std::move(walks));
}

}  // namespace mambaseg
