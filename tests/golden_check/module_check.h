#pragma once

#include <functional>

#include "tests/golden_check/golden_case.h"

namespace mambaseg {

/// Setting `name` of the constructor call, or `otherwise` when the case leaves it at its default.
template <class T>
T argument(const GoldenCase& golden, const char* name, T otherwise) {
  const auto found = golden.args.find(name);
  return found == golden.args.end() || found->is_null() ? otherwise : found->get<T>();
}

/// input.<name>; for input.<name>_u8 the bytes are tiled as the note says and divided by 255.
torch::Tensor golden_input(const GoldenCase& golden, const std::string& name);

/// Loads the weights of the case into `module`, runs `forward` on input.x in evaluation mode, and compares
/// output.y and, where the case has them, the gradients of sum(y * grad_output) for the input and every
/// weight.
GoldenResult check_module(const GoldenCase& golden, torch::nn::Module& module,
                          const std::function<torch::Tensor(const torch::Tensor&)>& forward);

}  // namespace mambaseg
