#pragma once

#include <bit>
#include <cstdint>

namespace mambaseg {

/// The upper half of an IEEE single: 8 bits of exponent, 7 of fraction. Storage only; kernels compute in
/// fp32.
struct Bfloat16 {
  uint16_t bits;
};

inline float to_float(float value) { return value; }
inline float to_float(Bfloat16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}

/// Rounds to nearest, ties to even; NaN stays NaN.
inline Bfloat16 to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (value != value) return {0x7FC0};
  return {static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)};
}

}  // namespace mambaseg
