#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace mambaseg {

/// A SIMD instruction set that the kernels were compiled for and that this processor has.
struct SimdTarget {
  const char* name = "";  ///< "AVX3_DL", "AVX3", "AVX2", "SSE4", "NEON", ... as Highway names them
  int64_t bit = 0;        ///< Highway's number of it
};

/// All of them, best first. At least one.
std::span<const SimdTarget> supported_targets();

/// The first of supported_targets().
SimdTarget best_target();

/// The supported target of that name, or bit 0 when there is none.
SimdTarget find_target(std::string_view name);

}  // namespace mambaseg
