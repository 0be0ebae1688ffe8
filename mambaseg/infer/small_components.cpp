#include "mambaseg/infer/small_components.h"

#include <algorithm>

namespace mambaseg {

int64_t remove_small_components(Volume<int32_t>& labels, double least_mm3) {
  const Components components = connected_components(labels, Connectivity::corners);
  const double voxel_mm3 = labels.geometry.voxel_volume_mm3();
  const auto small = [&](int64_t component) {
    return static_cast<double>(components.voxels[static_cast<size_t>(component)]) * voxel_mm3 < least_mm3;
  };
  const Index3& size = labels.geometry.size;
  for (int64_t row = 0; row < size[1] * size[2]; ++row)
    for (int64_t r = components.row_begin[static_cast<size_t>(row)];
         r < components.row_begin[static_cast<size_t>(row) + 1]; ++r) {
      const Run& run = components.runs[static_cast<size_t>(r)];
      if (small(run.component))
        std::fill(labels.voxels.begin() + row * size[0] + run.i_begin,
                  labels.voxels.begin() + row * size[0] + run.i_end, 0);
    }
  int64_t removed = 0;
  for (size_t c = 0; c < components.voxels.size(); ++c) removed += small(static_cast<int64_t>(c));
  return removed;
}

}  // namespace mambaseg
