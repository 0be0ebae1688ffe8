#pragma once

#include <torch/nn/modules/conv.h>

#include "mambaseg/nets/blocks/layers.h"

namespace mambaseg {

/// Constructor of Mamba with the defaults of state-spaces/mamba.
struct MambaSettings {
  int64_t width = 16;       ///< channels of the tokens (d_model)
  int64_t states = 16;      ///< states a channel (d_state)
  int64_t conv_kernel = 4;  ///< length of the causal convolution (d_conv)
  int64_t expand = 2;       ///< inner channels / width
  int64_t dt_rank = 0;      ///< rank of the time step projection; 0: width / 16, rounded up
  bool bias = false;        ///< bias of in_proj and out_proj
  bool conv_bias = true;
};

/// Mamba-1 (Gu & Dao 2023): projection to inner channels and gate, causal depthwise convolution, SiLU,
/// selective scan, gate, projection. No norm and no residual inside. Module names are those of
/// state-spaces/mamba.
class Mamba : public torch::nn::Module {
 public:
  explicit Mamba(const MambaSettings& settings);

  /// x (B, L, width) -> (B, L, width). `backwards` reads the tokens from last to first: the same as reversing
  /// the sequence, running forwards and reversing the result, but without the copies.
  torch::Tensor forward(const torch::Tensor& x_BLC, bool backwards = false);

 private:
  MambaSettings settings_;
  int64_t channels_, rank_;
  Linear in_proj_{nullptr}, x_proj_{nullptr}, dt_proj_{nullptr}, out_proj_{nullptr};
  torch::nn::Conv1d conv1d_{nullptr};
  torch::Tensor A_log_, D_;
  PackedWeights packed_;  ///< of x_proj_
};

}  // namespace mambaseg
