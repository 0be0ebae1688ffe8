// The atrous walk of ASP-VMUNet (Bao et al. 2025): the plane (volume) falls into sub-grids of every step-th
// token along each axis, which are walked through one after the other, each in raster order.

#include "mambaseg/core/error.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {

ScanOrder atrous_order(TokenGrid grid, int64_t step) {
  require(step > 0, "atrous order: expected a step of 1 or more, got ", step);
  ScanOrder order;
  order.reserve(token_count(grid));
  const int64_t planes = grid[0] == 1 ? 1 : step;  // a plane has no third axis to leave tokens out of
  for (int64_t i = 0; i < planes; ++i)
    for (int64_t j = 0; j < step; ++j)
      for (int64_t k = 0; k < step; ++k)
        for (int64_t z = i; z < grid[0]; z += planes)
          for (int64_t y = j; y < grid[1]; y += step)
            for (int64_t x = k; x < grid[2]; x += step)
              order.push_back(static_cast<int32_t>((z * grid[1] + y) * grid[2] + x));
  return order;
}

}  // namespace mambaseg
