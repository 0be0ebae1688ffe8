#pragma once

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/linear.h"

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
class Mamba : public Layer {
 public:
  explicit Mamba(const MambaSettings& settings);

  /// x (B, L, width) -> (B, L, width). `backwards` reads the tokens from last to first: the same as reversing
  /// the sequence, running forwards and reversing the result, but without the copies.
  torch::Tensor read(const torch::Tensor& x_BLC, bool backwards);
  torch::Tensor forward(const torch::Tensor& x_BLC) override { return read(x_BLC, false); }

 private:
  MambaSettings settings_;
  int64_t channels_, rank_;
  std::shared_ptr<Linear> in_proj_, x_proj_, dt_proj_, out_proj_;
  std::shared_ptr<Convolution> conv1d_;
  torch::Tensor A_log_, D_;
  PackedWeights packed_;  ///< of x_proj_
};

}  // namespace mambaseg
