#pragma once

#include <torch/types.h>

namespace mambaseg {

/// How the weights of a dense layer start.
enum class Start {
  pytorch,  ///< uniform, bounds 1 / sqrt(fan in), as torch.nn.Conv and torch.nn.Linear
  nnunet    ///< Kaiming-normal for leaky ReLU of slope 0.01, bias 0
};

/// Fills a weight (out, in, kernel...) and its bias, which may be undefined, in place.
void start_weights(Start start, torch::Tensor& weight, torch::Tensor& bias);

}  // namespace mambaseg
