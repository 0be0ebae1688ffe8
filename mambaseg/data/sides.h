#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "mambaseg/data/label_settings.h"

namespace mambaseg {

/// The number on the other side of the body for each label number that has one: structures whose names differ
/// only in Left and Right (left and right, lh and rh) at a place between other letters.
std::map<int64_t, int64_t> other_sides(const std::vector<LabelClass>& classes);

/// The vote map (LabelScheme: the first is no structure) of the other side for each vote map; empty where no
/// structure has a side.
std::vector<int64_t> other_side_maps(const std::vector<LabelClass>& classes);

}  // namespace mambaseg
