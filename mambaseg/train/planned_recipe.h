#pragma once

#include "mambaseg/data/planner.h"
#include "mambaseg/train/run.h"

namespace mambaseg {

/// What a planned experiment changes in a recipe, as a recipe of its own: spacing, patch, intensities of a CT
/// data set, channels, batch, and for the networks that nnU-Net plans stage by stage their features, kernels
/// and strides. The others keep the recipe's patch and batch, the patch cut to the median case.
Json planned_recipe(const RunSettings& recipe, const PlannedExperiment& planned,
                    const Fingerprint& fingerprint);

}  // namespace mambaseg
