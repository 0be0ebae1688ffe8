#pragma once

#include <functional>
#include <string>

#include <torch/nn/module.h>
#include <torch/types.h>

namespace mambaseg {

/// Says in words where numbers stop being finite, for the message that ends a run:
///   1. the first parameter or buffer of `module` with a non-finite value, else
///   2. the first module whose output is non-finite when `forward` runs once more (without gradient), else
///   3. the parameter nearest to the output with a non-finite gradient, else "".
std::string find_non_finite(torch::nn::Module& module, const std::function<void()>& forward);

/// False when a parameter or a buffer holds NaN or infinity.
bool all_finite(const torch::nn::Module& module);

}  // namespace mambaseg
