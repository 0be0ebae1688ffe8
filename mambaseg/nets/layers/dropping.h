#pragma once

#include "mambaseg/nets/layers/layer.h"

namespace mambaseg {

/// In training: each number becomes 0 with the chance `chance`, the others are scaled up.
class Dropout : public Layer {
 public:
  explicit Dropout(double chance) : chance_(chance) {}
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  double chance_;
};

/// Stochastic depth (Huang et al. 2016). In training: the branch of a sample becomes 0 with the chance
/// `chance`, the kept ones are scaled up.
class DropPath : public Layer {
 public:
  explicit DropPath(double chance) : chance_(chance) {}
  torch::Tensor forward(const torch::Tensor& branch) override;

 private:
  double chance_;
};

/// `count` drop-path chances that rise in even steps from 0 to `last` (one alone is 0).
std::vector<double> rising_drop_path(int64_t count, double last);

}  // namespace mambaseg
