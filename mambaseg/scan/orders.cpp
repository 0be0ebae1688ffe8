#include "mambaseg/scan/orders.h"

#include <array>
#include <charconv>

#include "mambaseg/core/error.h"

namespace mambaseg {

std::span<const ScanOrderFamily> scan_order_families() {
  static const std::array<ScanOrderFamily, 16> families = {{
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
      {"diagonal", "RS-Mamba, diagonals alone", 1, true,
       [](TokenGrid grid, int) { return diagonal_orders(grid); }},
      {"omnidirectional", "RS-Mamba", 1, true,
       [](TokenGrid grid, int) { return omnidirectional_orders(grid); }},
      {"spiral", "UM-Mamba, as its abstract names it", 1, true,
       [](TokenGrid grid, int) { return spiral_orders(grid); }},
      {"window", "LocalMamba, windows of 2 or 7", 2, false,
       [](TokenGrid grid, int orientation) { return window_orders(grid, orientation == 0 ? 2 : 7); }},
      {"hilbert", "Hilbert's curve", 1, false, [](TokenGrid grid, int) { return hilbert_orders(grid); }},
      {"z_order", "Morton's curve", 1, false, [](TokenGrid grid, int) { return z_orders(grid); }},
      {"atrous", "ASP-VMUNet, step 1 + orientation", 4, false,
       [](TokenGrid grid, int orientation) {
         return std::vector<ScanOrder>{atrous_order(grid, orientation + 1)};
       }},
      {"tri_orientated", "SegMamba, slices along the first axis", 1, false,
       [](TokenGrid grid, int) { return tri_orientated_orders(token_count(grid), grid[0]); }},
  }};
  return families;
}

NamedOrders named_orders(const std::string& name) {
  const size_t colon = name.find(':');
  std::string known;
  for (const ScanOrderFamily& family : scan_order_families()) {
    if (family.name == name.substr(0, colon)) {
      int orientation = 0;
      bool read = true;
      if (colon != std::string::npos) {
        const char *from = name.data() + colon + 1, *end = name.data() + name.size();
        const std::from_chars_result result = std::from_chars(from, end, orientation);
        read = result.ec == std::errc() && result.ptr == end;
      }
      if (!read || orientation < 0 || orientation >= family.orientations)
        throw UsageError(concat("scan order: expected an orientation of ", family.name, " from 0 to ",
                                family.orientations - 1, ", got ", name));
      return {&family, orientation};
    }
    known += (known.empty() ? "" : ", ") + family.name;
  }
  throw UsageError(
      concat("scan order: expected FAMILY or FAMILY:ORIENTATION with a family of ", known, ", got ", name));
}

}  // namespace mambaseg
