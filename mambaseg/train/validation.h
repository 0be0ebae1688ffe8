#pragma once

#include <optional>
#include <vector>

#include "mambaseg/core/geometry.h"
#include "mambaseg/data/case_cache.h"
#include "mambaseg/nets/network.h"

namespace mambaseg {

/// Dice of one case: entry k - 1 belongs to class k, empty when the labels do not hold it.
using CaseDice = std::vector<std::optional<double>>;

/// Class numbers (i, j, k) of a prepared case, uint8: patches side by side, the last ones moved inwards, each
/// voxel from the last patch that covers it. A quick look for choosing the best epoch; prediction overlaps
/// patches.
torch::Tensor predict_side_by_side(Network& network, const PreparedCase& one, const Index3& patch,
                                   torch::Device device);

/// 2 TP / (predicted + labelled) of each class 1..classes.
CaseDice dice_of(const torch::Tensor& predicted, const torch::Tensor& labelled, int64_t classes);

/// Mean over cases of the mean over the classes present in the case; 0 when no case has any.
double mean_dice(const std::vector<CaseDice>& cases);

/// Mean over the cases that hold it, per class.
CaseDice class_means(const std::vector<CaseDice>& cases);

}  // namespace mambaseg
