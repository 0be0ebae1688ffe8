#pragma once

#include <torch/csrc/autograd/variable.h>
#include <torch/types.h>

namespace mambaseg {

/// Marks a parameter, whatever its shape, as one that weight decay should leave alone, as the official code
/// does with _no_weight_decay. The mark stays when its module moves to another device.
inline torch::Tensor without_decay(const torch::Tensor& parameter) {
  torch::autograd::impl::set_name(parameter, "no weight decay");  // LibTorch keeps it and makes no use of it
  return parameter;
}

/// Whether a parameter is marked so.
inline bool is_without_decay(const torch::Tensor& parameter) { return parameter.name() == "no weight decay"; }

}  // namespace mambaseg
