#pragma once

#include <optional>
#include <vector>

#include <torch/types.h>

#include "mambaseg/core/ignored_class.h"

namespace mambaseg {

/// Dice of one case: an entry for each structure, empty when the labels do not hold it.
using CaseDice = std::vector<std::optional<double>>;

/// 2 TP / (predicted + labelled) of each structure, which is a set of class numbers. Voxels labelled
/// kIgnoredClass do not count. Class numbers are uint8.
CaseDice dice_of(const torch::Tensor& predicted, const torch::Tensor& labelled,
                 const std::vector<std::vector<int64_t>>& structures);

/// Mean over cases of the mean over the structures present in the case; 0 when no case has any.
double mean_dice(const std::vector<CaseDice>& cases);

/// Mean over the cases that hold it, per structure.
CaseDice class_means(const std::vector<CaseDice>& cases);

}  // namespace mambaseg
