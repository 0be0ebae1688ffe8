#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mambaseg/core/volume.h"

namespace mambaseg {

/// Which voxels touch: across faces (6 neighbours; 4 in a slice), also across edges (18; 8), also across
/// corners (26).
enum class Connectivity { faces = 1, edges = 2, corners = 3 };

/// A stretch of voxels of one label along i, and the connected component that it belongs to.
struct Run {
  int32_t i_begin, i_end;  ///< half open
  int32_t label;
  int64_t component;
};

/// The connected components of all labels of an image at once. Components are numbered from 0 in memory
/// order.
struct Components {
  std::vector<Run> runs;           ///< in memory order
  std::vector<int64_t> row_begin;  ///< the first run of row j + size[1] * k, and the end
  std::vector<int64_t> voxels;     ///< of each component
  std::vector<int32_t> labels;     ///< of each component
};

Components connected_components(const Volume<int32_t>& image, Connectivity connectivity);

/// Components of one label in a case and how many of them meet the other image: a reference lesion is found
/// when one voxel of it is predicted, a predicted lesion is false when no voxel of it is in the reference.
struct LesionCounts {
  int64_t reference = 0, found = 0;
  int64_t prediction = 0, confirmed = 0;
  bool operator==(const LesionCounts&) const = default;
};

/// The counts for each of `labels` (ascending) between the components of two images on one grid.
std::vector<LesionCounts> count_lesions(const Components& reference, const Components& prediction,
                                        std::span<const int32_t> labels);

}  // namespace mambaseg
