#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "mambaseg/ops/dense.h"

// Weights in 16 bits for LibTorch's operators, which want x and weights of one type; not for others.

namespace mambaseg {

/// What a layer keeps of its weights, and from which state of them it was made.
struct CastWeights {
  std::mutex mutex;
  std::vector<int64_t> state;
  torch::Tensor weight, bias;
};

/// The part of what a layer packs; defined where the whole is.
CastWeights& cast_of(PackedWeights::Contents& contents);

/// Where the parameter lies and how often it was changed.
void add_state(const torch::Tensor& parameter, std::vector<int64_t>& state);

/// Weight and bias in `type`, without gradient. Cast at first use and when they have changed since.
std::pair<torch::Tensor, torch::Tensor> cast_weights(const DenseWeights& w, torch::ScalarType type);

}  // namespace mambaseg
