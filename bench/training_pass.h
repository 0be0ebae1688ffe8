#pragma once

#include <functional>
#include <string>

#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// Forward and backward pass of the mean square of the scores of every output of `patch` (B, C, spatial...),
/// from no gradients on. `before_backward` is called between the two.
void training_pass(
    Network& network, const torch::Tensor& patch, const std::string& precision,
    const std::function<void()>& before_backward = [] {});

}  // namespace mambaseg
