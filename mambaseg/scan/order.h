#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace mambaseg {

/// Extents of a token grid along its array axes, slowest first: the raster index of (a, b, c) is
/// (a * grid[1] + b) * grid[2] + c. A 2-D grid has grid[0] = 1.
using TokenGrid = std::array<int64_t, 3>;

/// A walk over a token grid: step t visits the token of raster index order[t]; each token once.
using ScanOrder = std::vector<int32_t>;

}  // namespace mambaseg
