#pragma once

#include <map>
#include <string>

#include <torch/nn/module.h>
#include <torch/types.h>

namespace mambaseg {

/// Tensors under the names of a state_dict.
using Weights = std::map<std::string, torch::Tensor>;

/// Parameters and buffers of a module under their names (not copies).
Weights weights_of(const torch::nn::Module& module);

/// Copies `weights` into the parameters and buffers of `module`. The official MedSegMamba files also hold the
/// tables of the basic walk (scans.index_flat, scans.index_flat_inv): they are compared with ours and
/// dropped. So are the repetitions of nnU-Net's state_dicts (decoder.encoder.*, all_modules.*), which must
/// equal what they repeat. Throws Error that counts and names (the first few of) the missing, extra and
/// misshaped tensors; the module is then unchanged.
void load_weights(torch::nn::Module& module, const Weights& weights);

}  // namespace mambaseg
