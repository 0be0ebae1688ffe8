#pragma once

#include "mambaseg/nets/layers/sequence.h"

namespace mambaseg {

/// The additive gate of Attention U-Net (Oktay et al. 2018) in two dimensions: x times a map in 0..1 that it
/// and the coarser features g, brought to its grid, decide. Prefixes "W_g", "W_x", "psi".
class AttentionGate : public Module {
 public:
  AttentionGate(int64_t g_channels, int64_t x_channels, int64_t inner);
  /// g (B, g_channels, Y, X), x (B, x_channels, Y, X) -> as x
  torch::Tensor forward(const torch::Tensor& g_BCYX, const torch::Tensor& x_BCYX);

 private:
  std::shared_ptr<Sequence> w_g_, w_x_, psi_;
};

}  // namespace mambaseg
