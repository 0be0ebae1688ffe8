#pragma once

#include <string>

#include <torch/types.h>

namespace mambaseg {

/// The numbers of the rule "splitmix64/1" for a tensor of that name, so that golden files need not hold them:
/// float32(offset + scale * u_i), u_i in [-1, 1) from SplitMix64 whose state starts at the FNV-1a hash of
/// salt + "/" + name.
torch::Tensor tensor_by_rule(const std::string& salt, const std::string& name, at::IntArrayRef sizes,
                             double offset, double scale);

}  // namespace mambaseg
