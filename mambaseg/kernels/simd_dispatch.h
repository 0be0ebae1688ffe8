#pragma once

// To be included after hwy/foreach_target.h.
#include "hwy/highway.h"
#include "mambaseg/kernels/target.h"

namespace mambaseg {

constexpr int64_t kMostLanes = 16;  ///< of a vector of floats, whatever the target

constexpr int64_t round_up(int64_t size, int64_t step) { return (size + step - 1) / step * step; }

/// Lanes that the channels of a call fill at most, when each group begins a new vector.
constexpr int64_t padded_channels(int64_t channels, int64_t groups) {
  return channels + (channels < groups ? channels : groups) * kMostLanes;
}

/// Where Highway's tables of functions (HWY_DISPATCH_TABLE) have the one for `target`.
inline size_t table_index(SimdTarget target) {
  hwy::ChosenTarget chosen;
  chosen.Update(target.bit);
  return chosen.GetIndex();
}

}  // namespace mambaseg
