#pragma once

#include <cstdint>
#include <vector>

#include "mambaseg/core/progress.h"

namespace mambaseg {

/// v -> clip(scale * (v - low), 0, 255)
struct IntensityRange {
  double low = 0;
  double scale = 1;
};

/// FreeSurfer's robust range as FastSurfer's conform computes it: low is the minimum, the upper end is the
/// lower edge, less one bin, of the bin of a 1000-bin histogram over all voxels above which 0.1 % of the
/// non-zero voxels lie. Where this gives an empty range (one outlier stretches the histogram so that all else
/// is in its first bin), the upper end is the end of the first bin. Throws Error when all values are equal.
template <class T>
IntensityRange robust_range(const std::vector<T>& values);

/// The value on the scale 0..255: rounded half to even, or not rounded.
uint8_t rescaled_to_byte(double value, const IntensityRange& range);
double rescaled(double value, const IntensityRange& range);

/// Mean 0 and deviation 1 (population) over the voxels that are not 0; zeros stay. Throws Error when there
/// are none or they are all equal.
void z_score_nonzero(std::vector<float>& values);

}  // namespace mambaseg
