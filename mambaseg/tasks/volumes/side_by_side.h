#pragma once

#include <torch/types.h>

#include "mambaseg/core/geometry.h"
#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/label_scheme.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// Class numbers (i, j, k) of a prepared case, uint8: patches side by side, the last ones moved inwards, each
/// voxel from the last patch that covers it. A quick look for choosing the best epoch; prediction overlaps
/// patches.
torch::Tensor predict_side_by_side(Network& network, const PreparedCase& one, const Index3& patch,
                                   torch::Device device, const LabelScheme& scheme);

}  // namespace mambaseg
