#include "mambaseg/metrics/surface.h"

#include <algorithm>

namespace mambaseg {

int64_t LabelSlots::slot(int32_t label) {
  if (label != last_label_) {
    const auto found = std::lower_bound(labels_.begin(), labels_.end(), label);
    last_label_ = label;
    last_slot_ = found != labels_.end() && *found == label ? found - labels_.begin() : -1;
  }
  return last_slot_;
}

std::vector<std::vector<GridPoint>> surface_voxels(const Volume<int32_t>& image,
                                                   std::span<const int32_t> labels, int64_t k_begin,
                                                   int64_t k_end) {
  const Index3& n = image.geometry.size;
  const std::array<int64_t, 3> stride{1, n[0], n[0] * n[1]};
  std::vector<std::vector<GridPoint>> surfaces(labels.size());
  LabelSlots slots(labels);
  for (int64_t k = k_begin; k < k_end; ++k)
    for (int64_t j = 0; j < n[1]; ++j) {
      const int32_t* row = &image.voxels[size_t(n[0] * (j + n[1] * k))];
      for (int64_t i = 0; i < n[0]; ++i) {
        const int32_t label = row[i];
        if (label == 0) continue;
        const std::array<int64_t, 3> at{i, j, k};
        bool surface = false;
        for (int axis = 0; axis < 3 && !surface; ++axis)
          surface = n[axis] > 1 && (at[axis] == 0 || at[axis] == n[axis] - 1 ||
                                    row[i - stride[axis]] != label || row[i + stride[axis]] != label);
        if (!surface) continue;
        if (const int64_t slot = slots.slot(label); slot >= 0)
          surfaces[size_t(slot)].push_back({int32_t(i), int32_t(j), int32_t(k)});
      }
    }
  return surfaces;
}

}  // namespace mambaseg
