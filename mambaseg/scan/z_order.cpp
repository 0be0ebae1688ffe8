// Morton's curve (1966), which nests Zs: the bits of a place, taken in turn, are its step. Among the scan
// types of MedSegMamba's code (zorder).

#include "mambaseg/scan/axis_walk.h"
#include "mambaseg/scan/curve_keys.h"

namespace mambaseg {

std::vector<ScanOrder> z_orders(TokenGrid grid) {
  return along_rows_and_columns(
      grid, [](TokenGrid g) { return by_interleaved_bits(g, [](TokenPlace place, int) { return place; }); });
}

}  // namespace mambaseg
