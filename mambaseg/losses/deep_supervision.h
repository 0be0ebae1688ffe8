#pragma once

#include "mambaseg/losses/loss.h"

namespace mambaseg {

/// Weights of `outputs` scales, finest first: 1, 1/2, 1/4, ... with 0 for the coarsest, scaled to sum 1; a
/// single output has weight 1 (Isensee et al. 2021, nnU-Net).
std::vector<double> deep_supervision_weights(int64_t outputs);

/// Sum over scales of weight times loss. `scores[i]` (B, K, spatial_i...), finest first; `classes[i]`
/// (B, spatial_i...) or, when there is only one map, that of the finest scale, which is brought to the size
/// of the others by nearest neighbour. Scales of weight 0 are not looked at. UsageError when there are fewer
/// weights than scales.
torch::Tensor deeply_supervised(const Loss& loss, const std::vector<torch::Tensor>& scores,
                                const std::vector<torch::Tensor>& classes, const std::vector<double>& weights,
                                int64_t epoch);

}  // namespace mambaseg
