#pragma once

#include <vector>

#include "mambaseg/core/geometry.h"
#include "mambaseg/core/random.h"
#include "mambaseg/tasks/synthetic/synthesis_settings.h"

namespace mambaseg {

struct ScannerNoise {
  double deviation = 0;
  bool rician = false;  ///< of a magnitude image; else normal, and nothing is below 0
};

/// What a scanner makes of an image of `size` (last axis fastest, voxels of `voxel_mm`), in place: it is
/// blurred, measured in voxels or slices of a random size with noise, made 0 where the mask (1 or 0 a voxel;
/// empty: 1 everywhere) is 0, and interpolated back to its grid.
void scan(std::vector<float>& image, std::vector<float> mask, const Index3& size, double voxel_mm,
          const ScannerNoise& noise, const SynthesisSettings& settings, Random& random);

}  // namespace mambaseg
