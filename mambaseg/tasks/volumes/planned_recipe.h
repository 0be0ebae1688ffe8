#pragma once

#include "mambaseg/data/plan.h"
#include "mambaseg/tasks/volumes/planner.h"

namespace mambaseg {

/// What a planned experiment changes in a recipe, as a recipe of its own: spacing, patch, intensities of a CT
/// data set, channels, batch, and for the networks that nnU-Net plans stage by stage their features, kernels
/// and strides. The others keep the patch of `given` and the recipe's batch, the patch cut to the median
/// case.
Json planned_recipe(const Json& network_settings, const Plan& given, const PlannedExperiment& planned,
                    const Fingerprint& fingerprint);

}  // namespace mambaseg
