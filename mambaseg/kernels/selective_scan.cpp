#include "mambaseg/kernels/selective_scan.h"

#include <algorithm>

namespace mambaseg {

// The borders of a walk cost states / chunk floats per token and channel: at most as much as delta for up to
// 64 states. The states and decays of a chunk, 512 KiB for 16 channels, stay in the second-level cache.
int64_t selective_scan_chunk(int64_t states) { return std::clamp<int64_t>(4096 / states, 8, 64); }

int64_t selective_scan_chunks(int64_t length, int64_t states) {
  const int64_t chunk = selective_scan_chunk(states);
  return (length + chunk - 1) / chunk;
}

}  // namespace mambaseg
