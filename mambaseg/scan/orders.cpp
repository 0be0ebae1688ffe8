#include "mambaseg/scan/orders.h"

#include <array>

namespace mambaseg {

std::span<const ScanOrderFamily> scan_order_families() {
  static const std::array<ScanOrderFamily, 10> families = {{
      {"raster", "state-spaces/mamba", 1, false,
       [](TokenGrid grid, int) {
         return std::vector<ScanOrder>{raster_order(token_count(grid)),
                                       reversed(raster_order(token_count(grid)))};
       }},
      {"snake", "MedSegMamba, SS3D_v5, scan type scan", 6, false,
       [](TokenGrid grid, int orientation) { return snake_orders(grid, orientation, BaseCurve::snake); }},
      {"sweep", "MedSegMamba, SS3D_v5, scan type sweep", 6, false,
       [](TokenGrid grid, int orientation) { return snake_orders(grid, orientation, BaseCurve::sweep); }},
      {"axis_raster", "MedSegMamba, SS3D", 1, false,
       [](TokenGrid grid, int) { return axis_raster_orders(grid); }},
      {"rotated_raster", "MedSegMamba, SS3D_v6", 8, false, rotated_raster_orders},
      {"cyclic_raster", "nnUZoo, SSND", 1, false,
       [](TokenGrid grid, int) { return cyclic_raster_orders(grid); }},
      {"cross", "VMamba, SS2D", 1, true, [](TokenGrid grid, int) { return cross_orders(grid); }},
      {"mirrored_rows", "HyM-UNet, SS2D as the text lists it", 1, true,
       [](TokenGrid grid, int) { return mirrored_row_orders(grid); }},
      {"atrous", "ASP-VMUNet, step 1 + orientation", 4, false,
       [](TokenGrid grid, int orientation) {
         return std::vector<ScanOrder>{atrous_order(grid, orientation + 1)};
       }},
      {"tri_orientated", "SegMamba, slices along the first axis", 1, false,
       [](TokenGrid grid, int) { return tri_orientated_orders(token_count(grid), grid[0]); }},
  }};
  return families;
}

}  // namespace mambaseg
