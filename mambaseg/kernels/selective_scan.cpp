#include "mambaseg/kernels/selective_scan.h"

#include <algorithm>

namespace mambaseg {

// 128 KiB of fp32 states for 16 channels: they stay in the second-level cache, and the borders of a walk cost
// states * states / 2048 floats per token and channel.
int64_t selective_scan_chunk(int64_t states) { return std::clamp<int64_t>(2048 / states, 8, 128); }

int64_t selective_scan_chunks(int64_t length, int64_t states) {
  const int64_t chunk = selective_scan_chunk(states);
  return (length + chunk - 1) / chunk;
}

}  // namespace mambaseg
