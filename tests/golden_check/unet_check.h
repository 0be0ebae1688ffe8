#pragma once

#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/network.h"
#include "tests/golden_check/module_check.h"

namespace mambaseg {

/// A constructor argument that is a number for all stages or a list.
std::vector<int64_t> per_stage_argument(const GoldenCase& golden, const char* name);

/// The arguments that all networks of nnU-Net's frame share: input_channels, num_classes, n_stages,
/// features_per_stage, kernel_sizes, strides, deep_supervision.
void read_shape(const GoldenCase& golden, int64_t dimension, UNetShape& shape);

/// Loads the weights, runs input.x and compares every output.y<i>, full resolution first, and gradients where
/// the case has grad_output for the first.
GoldenResult check_unet(const GoldenCase& golden, const std::shared_ptr<Network>& network);

}  // namespace mambaseg
