#include "mambaseg/infer/small_components.h"

#include <algorithm>

namespace mambaseg {
namespace {

/// Sets the components of labels to 0 that `small(voxels)` says; returns how many there were.
template <class Small>
int64_t remove_components(Volume<int32_t>& labels, const Components& components, const Small& small) {
  const Index3& size = labels.geometry.size;
  for (int64_t row = 0; row < size[1] * size[2]; ++row)
    for (int64_t r = components.row_begin[static_cast<size_t>(row)];
         r < components.row_begin[static_cast<size_t>(row) + 1]; ++r) {
      const Run& run = components.runs[static_cast<size_t>(r)];
      if (small(components.voxels[static_cast<size_t>(run.component)]))
        std::fill(labels.voxels.begin() + row * size[0] + run.i_begin,
                  labels.voxels.begin() + row * size[0] + run.i_end, 0);
    }
  return std::count_if(components.voxels.begin(), components.voxels.end(), small);
}

}  // namespace

int64_t remove_small_components(Volume<int32_t>& labels, double least_mm3) {
  const double voxel_mm3 = labels.geometry.voxel_volume_mm3();
  return remove_components(labels, connected_components(labels, Connectivity::corners), [&](int64_t voxels) {
    return static_cast<double>(voxels) * voxel_mm3 < least_mm3;
  });
}

Volume<int32_t> without_strays(const Volume<int32_t>& labels, const std::vector<int64_t>& wanted,
                               double least_share) {
  Volume<int32_t> mask(labels.geometry);
  std::transform(labels.voxels.begin(), labels.voxels.end(), mask.voxels.begin(), [&](int32_t label) {
    return std::find(wanted.begin(), wanted.end(), label) != wanted.end() ? 1 : 0;
  });
  const Components components = connected_components(mask, Connectivity::corners);
  const int64_t largest =
      components.voxels.empty() ? 0 : *std::max_element(components.voxels.begin(), components.voxels.end());
  const double least = least_share * static_cast<double>(largest);
  remove_components(mask, components, [&](int64_t voxels) { return static_cast<double>(voxels) < least; });
  return mask;
}

}  // namespace mambaseg
