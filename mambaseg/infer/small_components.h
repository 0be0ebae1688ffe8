#pragma once

#include "mambaseg/metrics/components.h"

namespace mambaseg {

/// Sets to 0 every connected component (across corners) of one label that is smaller than `least_mm3`;
/// returns how many there were.
int64_t remove_small_components(Volume<int32_t>& labels, double least_mm3);

}  // namespace mambaseg
