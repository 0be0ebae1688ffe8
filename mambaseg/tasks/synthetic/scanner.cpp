#include "mambaseg/tasks/synthetic/scanner.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/core/quick_normals.h"
#include "mambaseg/tasks/synthetic/axis_map.h"
#include "mambaseg/tasks/synthetic/head_looks.h"

namespace mambaseg {

void scan(std::vector<float>& image, std::vector<float> mask, const Index3& whole, double voxel_mm,
          const ScannerNoise& noise, const SynthesisSettings& settings, Random& random) {
  const double blur = uniform_in(settings.blur_voxels, random);
  Vector3 spacing{1, 1, 1}, width{1, 1, 1}, phase{0, 0, 0};
  if (random.coin(settings.large_voxels))
    spacing.fill(random.uniform(1, std::max(1.0, settings.voxel_mm / voxel_mm)));
  width = spacing;
  if (random.coin(settings.thick_slices)) {
    const auto axis = static_cast<size_t>(random.below(3));
    spacing[axis] = random.uniform(1, std::max(1.0, settings.slice_mm / voxel_mm));
    width[axis] = spacing[axis] * random.uniform(0.7, 1);  // gaps between slices
  }
  Index3 size = whole;
  for (int a = 0; a < 3; ++a) {
    if (spacing[a] > 1) phase[a] = random.uniform();
    apply_along(a, measuring(size[a], spacing[a], std::max(1.0, width[a]), blur, phase[a]), size, image);
  }
  if (!mask.empty()) {
    Index3 measured = whole;
    for (int a = 0; a < 3; ++a)
      if (spacing[a] > 1)
        apply_along(a, measuring(measured[a], spacing[a], std::max(1.0, width[a]), 0, phase[a]), measured,
                    mask);
  }
  QuickNormals normals(random);
  const auto deviation = static_cast<float>(noise.deviation);
  for (size_t v = 0; v < image.size(); ++v) {
    const float real = image[v] + deviation * normals.next();
    const float imaginary = noise.rician ? deviation * normals.next() : 0.0f;
    image[v] = noise.rician ? std::sqrt(real * real + imaginary * imaginary) : std::max(0.0f, real);
    if (!mask.empty() && mask[v] < 0.5f) image[v] = 0;
  }
  for (int a = 0; a < 3; ++a)
    if (spacing[a] > 1) apply_along(a, interpolating(whole[a], spacing[a], phase[a]), size, image);
}

}  // namespace mambaseg
