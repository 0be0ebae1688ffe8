#pragma once

#include <optional>
#include <vector>

#include "mambaseg/core/geometry.h"
#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/label_scheme.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// Dice of one case: an entry for each structure, empty when the labels do not hold it.
using CaseDice = std::vector<std::optional<double>>;

/// Class numbers (i, j, k) of a prepared case, uint8: patches side by side, the last ones moved inwards, each
/// voxel from the last patch that covers it. A quick look for choosing the best epoch; prediction overlaps
/// patches.
torch::Tensor predict_side_by_side(Network& network, const PreparedCase& one, const Index3& patch,
                                   torch::Device device, const LabelScheme& scheme);

/// 2 TP / (predicted + labelled) of each structure, which is a set of class numbers. Voxels labelled
/// kIgnoredClass do not count. Class numbers are uint8.
CaseDice dice_of(const torch::Tensor& predicted, const torch::Tensor& labelled,
                 const std::vector<std::vector<int64_t>>& structures);

/// Mean over cases of the mean over the structures present in the case; 0 when no case has any.
double mean_dice(const std::vector<CaseDice>& cases);

/// Mean over the cases that hold it, per structure.
CaseDice class_means(const std::vector<CaseDice>& cases);

}  // namespace mambaseg
