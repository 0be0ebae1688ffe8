#pragma once

#include <array>
#include <functional>

#include "mambaseg/scan/orders.h"

namespace mambaseg {

/// One axis of the grid as a walk sees it: which one, and whether it runs from its end.
struct WalkAxis {
  int axis;
  bool mirrored;
};

/// The slow, the middle and the fast axis of a walk.
using WalkAxes = std::array<WalkAxis, 3>;

/// `curve` over the grid with its axes renamed and mirrored.
ScanOrder axis_walk(TokenGrid grid, const WalkAxes& axes, BaseCurve curve);

/// `walks` followed by each of them backwards.
std::vector<ScanOrder> with_reversals(std::vector<ScanOrder> walks);

/// What `walk` gives over the grid, over the grid with its last two axes swapped, and both backwards.
std::vector<ScanOrder> along_rows_and_columns(TokenGrid grid,
                                              const std::function<ScanOrder(TokenGrid)>& walk);

}  // namespace mambaseg
