#pragma once

#include <cstdint>

#include "mambaseg/core/random.h"

namespace mambaseg {

/// Normal numbers for the voxels of an image: one of 65536 quantiles (up to 4.3 standard deviations) for 16
/// random bits, many times as quick as Random::normal. `random` must outlive it.
class QuickNormals {
 public:
  explicit QuickNormals(Random& random);

  float next() {
    if (left_ == 0) {
      bits_ = random_.bits();
      left_ = 2;
    }
    const float value = quantiles_[bits_ & 0xffffu];
    bits_ >>= 16;
    --left_;
    return value;
  }

 private:
  Random& random_;
  const float* quantiles_;
  uint32_t bits_ = 0;
  int left_ = 0;
};

}  // namespace mambaseg
