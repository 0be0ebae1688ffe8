#pragma once

#include <map>
#include <string>

#include <torch/nn/module.h>
#include <torch/types.h>

#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// Tensors under the names of a state_dict.
using Weights = std::map<std::string, torch::Tensor>;

/// A module whose official state_dict holds tensors that ours computes.
class ComputesEntries {
 public:
  virtual ~ComputesEntries() = default;
  /// Whether `name` (without the prefix of the module) is such a tensor. Throws Error when it has another
  /// value than ours.
  virtual bool check_computed(const std::string& name, const torch::Tensor& value) const = 0;
};

/// Parameters and buffers of a module under their names (not copies).
Weights weights_of(const torch::nn::Module& module);

/// The same weights under the names of our modules. Entries that get one name repeat each other: Error when
/// they differ.
Weights with_our_names(const Weights& official, std::string (*our_name)(const std::string& official));

/// As the official classes of `entry` name them.
Weights with_our_names(Weights official, const NetworkEntry& entry);

/// Copies `weights` into the parameters and buffers of `module`. What a part of it computes instead
/// (ComputesEntries) is compared and dropped. Throws Error that counts and names (the first few of) the
/// missing, extra and misshaped tensors; the module is then unchanged.
void load_weights(torch::nn::Module& module, const Weights& weights);

}  // namespace mambaseg
