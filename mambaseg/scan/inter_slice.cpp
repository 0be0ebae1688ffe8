// The inter-slice walk of SegMamba (Xing et al. 2024): the first token of every slice, then the second of
// every slice.

#include "mambaseg/core/error.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {

ScanOrder inter_slice_order(int64_t length, int64_t slices) {
  token_count({1, 1, length});
  require(slices > 0 && length % slices == 0, "inter-slice order: expected slices that divide ", length,
          " tokens, got ", slices);
  ScanOrder order(length);
  for (int64_t t = 0; t < length; ++t) {
    order[t] = static_cast<int32_t>(t % slices * (length / slices) + t / slices);
  }
  return order;
}

std::vector<ScanOrder> tri_orientated_orders(int64_t length, int64_t slices) {
  const ScanOrder raster = raster_order(length);
  return {raster, reversed(raster), inter_slice_order(length, slices)};
}

}  // namespace mambaseg
