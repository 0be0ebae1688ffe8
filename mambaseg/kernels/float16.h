#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace mambaseg {

/// An IEEE half: 5 bits of exponent, 10 of fraction. Storage only; kernels compute in fp32.
struct Float16 {
  uint16_t bits;
};

inline float to_float(Float16 value) {
  const int exponent = value.bits >> 10 & 31, fraction = value.bits & 1023;
  const float sign = value.bits >> 15 ? -1.0f : 1.0f;
  if (exponent == 31) return sign * (fraction ? NAN : INFINITY);
  return sign * std::ldexp(static_cast<float>(exponent ? fraction + 1024 : fraction),
                           (exponent ? exponent : 1) - 25);
}

}  // namespace mambaseg
