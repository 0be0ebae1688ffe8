#pragma once

#include <cstdint>
#include <vector>

#include "mambaseg/config/config.h"

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

/// Mean 0 and deviation 1 (population; at least 1e-8 is divided by) over the voxels whose mask is not 0; the
/// others keep their values. An empty mask means all voxels. Throws Error when no voxel is left.
void z_score(std::vector<float>& values, const std::vector<uint8_t>& mask = {});

/// What nnU-Net keeps of the foreground intensities of a CT data set, in Hounsfield units.
struct CtIntensities {
  double mean = 0;
  double deviation = 1;
  double low = -1024;  ///< 0.5 % point
  double high = 3071;  ///< 99.5 % point
  void describe(SettingsVisitor& visit) {
    visit("mean", mean, "ct: mean of the foreground over the data set");
    visit("deviation", deviation, "ct: its standard deviation", at_least(0));
    visit("low", low, "ct: 0.5 % point of the foreground; smaller values are raised to it");
    visit("high", high, "ct: 99.5 % point; larger values are lowered to it");
  }
};

/// v -> (clip(v, low, high) - mean) / deviation
void normalise_ct(std::vector<float>& values, const CtIntensities& ct);

/// To 0..1: less the minimum, over what is then the maximum.
void rescale_to_unit(std::vector<float>& values);

/// The scale 0..255 to 0..1.
void bytes_to_unit(std::vector<float>& values);

/// Mean 0 and deviation 1 (population) over the voxels that are not 0; zeros stay. Throws Error when there
/// are none or they are all equal.
void z_score_nonzero(std::vector<float>& values);

}  // namespace mambaseg
