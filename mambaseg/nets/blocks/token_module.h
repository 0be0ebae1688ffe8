#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

namespace mambaseg {

/// A module on a grid of tokens, channels last: mixers, blocks, whole bottlenecks.
class TokenModule : public torch::nn::Module {
 public:
  /// x (B, Z, Y, X, C) -> the same sizes. Z, Y, X are the H, W, D of the official MedSegMamba code.
  virtual torch::Tensor forward(const torch::Tensor& x_BZYXC) = 0;
};

}  // namespace mambaseg
