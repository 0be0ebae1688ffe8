#pragma once

#include <vector>

#include "mambaseg/nets/layers/layer.h"
#include "mambaseg/ops/recomputed.h"

namespace mambaseg {

/// A block of a network that, where it is told to, keeps nothing but its inputs for the backward pass and
/// computes the rest again there.
class Recomputable {
 public:
  virtual ~Recomputable() = default;
  void recompute(bool wanted) { recomputes_ = wanted; }

 protected:
  /// compute(inputs), which reads the parameters of `self`, the block.
  torch::Tensor computed(torch::nn::Module& self, const std::vector<torch::Tensor>& inputs,
                         const Computation& compute) const;

 private:
  bool recomputes_ = false;
};

/// A layer that is such a block.
class RecomputableLayer : public Layer, public Recomputable {
 public:
  torch::Tensor forward(const torch::Tensor& x) final;

 protected:
  virtual torch::Tensor compute(const torch::Tensor& x) = 0;
};

/// Tells the outermost such blocks of a network. UsageError where it has none.
void recompute_blocks(torch::nn::Module& network);

}  // namespace mambaseg
