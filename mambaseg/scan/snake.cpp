// The 48 walks of MedSegMamba (SS3D_v5): a serpentine that never leaves the neighbourhood of its last voxel,
// over every signed axis order of the grid, eight per orientation.

#include "mambaseg/core/error.h"
#include "mambaseg/scan/axis_walk.h"

namespace mambaseg {
namespace {

constexpr WalkAxis H{0, false}, W{1, false}, D{2, false};
constexpr WalkAxis h{0, true}, w{1, true}, d{2, true};  // mirrored

// Slow, middle, fast axis of the first four walks of each orientation.
constexpr std::array<std::array<WalkAxes, 4>, 6> kOrientations = {{
    {{{H, W, D}, {w, d, H}, {h, W, d}, {w, D, h}}},
    {{{W, H, D}, {d, w, H}, {W, h, d}, {D, w, h}}},
    {{{D, W, H}, {H, d, w}, {d, W, h}, {h, D, w}}},
    {{{H, D, W}, {w, H, d}, {h, d, W}, {w, h, D}}},
    {{{W, D, H}, {d, H, w}, {W, d, h}, {D, h, w}}},
    {{{D, H, W}, {H, w, d}, {d, h, W}, {h, w, D}}},
}};

}  // namespace

BaseCurve base_curve(const std::string& scan_type) {
  if (scan_type == "scan" || scan_type == "snake") return BaseCurve::snake;
  if (scan_type == "sweep") return BaseCurve::sweep;
  throw UsageError("scan order: expected snake or sweep, got " + scan_type);
}

std::vector<ScanOrder> snake_orders(TokenGrid grid, int orientation, BaseCurve curve) {
  require(orientation >= 0, "snake order: expected an orientation of 0 or more, got ", orientation);
  std::vector<ScanOrder> walks;
  for (const WalkAxes& axes : kOrientations[orientation % 6]) walks.push_back(axis_walk(grid, axes, curve));
  return with_reversals(std::move(walks));
}

}  // namespace mambaseg
