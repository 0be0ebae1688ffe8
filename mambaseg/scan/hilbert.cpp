// Hilbert's curve in the plane and in space, by Skilling's transform of places (Programming the Hilbert
// curve, 2004). Among the scan types of MedSegMamba's code, there on cubes of powers of two alone.

#include "mambaseg/scan/axis_walk.h"
#include "mambaseg/scan/curve_keys.h"

namespace mambaseg {
namespace {

/// The bits of a place's step along the curve, spread over the axes.
TokenPlace step_of(TokenPlace place, int bits) {
  const uint32_t highest = bits > 0 ? uint32_t{1} << (bits - 1) : 0;
  for (uint32_t half = highest; half > 1; half >>= 1)
    for (uint32_t& along : place) {
      // In each half of the cube the finer curve is mirrored or has two axes swapped.
      const uint32_t differing = along & half ? 0 : (place[0] ^ along) & (half - 1);
      if (along & half) place[0] ^= half - 1;
      place[0] ^= differing;
      along ^= differing;
    }
  for (size_t axis = 1; axis < place.size(); ++axis) place[axis] ^= place[axis - 1];
  uint32_t mirrored = 0;
  for (uint32_t half = highest; half > 1; half >>= 1)
    if (place.back() & half) mirrored ^= half - 1;
  for (uint32_t& along : place) along ^= mirrored;
  return place;
}

}  // namespace

std::vector<ScanOrder> hilbert_orders(TokenGrid grid) {
  return along_rows_and_columns(grid, [](TokenGrid g) { return by_interleaved_bits(g, step_of); });
}

}  // namespace mambaseg
