#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mambaseg/core/volume.h"
#include "mambaseg/metrics/distance_transform.h"

namespace mambaseg {

/// Position of a label in a sorted list, quick for images where neighbours mostly agree.
class LabelSlots {
 public:
  /// `labels` ascending, without 0.
  explicit LabelSlots(std::span<const int32_t> labels) : labels_(labels) {}
  /// -1 when the label is not in the list.
  int64_t slot(int32_t label);

 private:
  std::span<const int32_t> labels_;
  int32_t last_label_ = 0;
  int64_t last_slot_ = -1;
};

/// The surface voxels of each label, in memory order: voxels with that label of which a face neighbour has
/// another label or lies outside the image (mask XOR its erosion by the 4- or 6-neighbourhood, as in medpy
/// and MONAI). An axis with one voxel has no neighbours, so a picture of one slice is scored in two
/// dimensions. Element s of the answer belongs to labels[s]; only planes k_begin <= k < k_end are searched.
std::vector<std::vector<GridPoint>> surface_voxels(const Volume<int32_t>& image,
                                                   std::span<const int32_t> labels, int64_t k_begin,
                                                   int64_t k_end);

}  // namespace mambaseg
