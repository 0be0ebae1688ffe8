#pragma once

#include <cstdint>

namespace mambaseg {

/// The class number of voxels that count nowhere (nnU-Net's ignore label): neither in a loss nor in a score.
/// The largest that the bytes of a prepared case hold.
constexpr int64_t kIgnoredClass = 255;

}  // namespace mambaseg
