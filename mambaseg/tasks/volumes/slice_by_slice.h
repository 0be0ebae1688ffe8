#pragma once

#include <torch/types.h>

#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/plan.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// Class numbers (i, j, k) of a prepared case, uint8, by a network that sees the slices of one plane; where
/// it does not tell sides apart the first of the classes that it has as one.
torch::Tensor predict_slices(Network& network, const PreparedCase& one, const Plan& plan,
                             torch::Device device);

}  // namespace mambaseg
