#pragma once

#include "mambaseg/nets/layers/layer.h"

namespace mambaseg {

/// x W^T + bias on the last axis. Parameters as torch.nn.Linear.
class Linear : public DenseLayer {
 public:
  Linear(int64_t in, int64_t out, bool bias = true);
  using DenseLayer::run;
  /// x (..., in) -> (..., out)
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue, const FixedNorm* norm) override;
  torch::Tensor weight, bias;

 private:
  PackedWeights packed_;
};

}  // namespace mambaseg
