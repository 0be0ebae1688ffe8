#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mambaseg/data/label_settings.h"

namespace mambaseg {

/// The array axis along which the orientation runs left-right: 0 for "LIA". UsageError when there is none.
int left_right_axis(const std::string& orientation);

/// The number on the other side of the body for each label number that has one: structures whose names differ
/// only in Left and Right (left and right, lh and rh) at a place between other letters.
std::map<int64_t, int64_t> other_sides(const std::vector<LabelClass>& classes);

/// The vote map (LabelScheme: the first is no structure) of the other side for each vote map; empty where no
/// structure has a side.
std::vector<int64_t> other_side_maps(const std::vector<LabelClass>& classes);

/// The numbers of background (0) and each class for a network that does not tell the sides of the body apart:
/// of two sides, right (Right, but lh of lh and rh) keeps its place in the order and the other has its
/// number, as in FastSurfer's sagittal network. Empty where no structure has a side.
std::vector<int64_t> classes_without_sides(const std::vector<LabelClass>& classes);

}  // namespace mambaseg
