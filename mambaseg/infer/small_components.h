#pragma once

#include "mambaseg/metrics/components.h"

namespace mambaseg {

/// Sets to 0 every connected component (across corners) of one label that is smaller than `least_mm3`;
/// returns how many there were.
int64_t remove_small_components(Volume<int32_t>& labels, double least_mm3);

/// 1 where one of `wanted` lies in a connected component (across corners) of all of them together that has at
/// least `least_share` of the voxels of the largest: strays do not count.
Volume<int32_t> without_strays(const Volume<int32_t>& labels, const std::vector<int64_t>& wanted,
                               double least_share);

}  // namespace mambaseg
