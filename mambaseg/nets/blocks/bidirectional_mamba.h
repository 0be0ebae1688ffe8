#pragma once

#include "mambaseg/nets/blocks/mamba.h"

namespace mambaseg {

/// Mamba's settings and what Vision Mamba adds.
struct BidirectionalMambaSettings : MambaSettings {
  bool shared = false;  ///< both directions with one convolution and projections (v1), else each its own (v2)
  bool mean = false;    ///< v2: the mean of both directions instead of their sum
  double layer_scale = 0;  ///< where the scales of the result's channels start; 0: none
};

/// The bidirectional Mamba of Vision Mamba (Vim, Zhu et al. 2024): one projection, the tokens read forwards
/// and backwards, the sum gated and projected. The shared one reads the tokens that were convolved forwards,
/// with an A of its own for the way back; the other has a whole branch with the official suffix _b. Module
/// names are those of hustvl/Vim.
class BidirectionalMamba : public Layer {
 public:
  explicit BidirectionalMamba(const BidirectionalMambaSettings& settings);
  /// x (B, sizes..., width) -> the same sizes, tokens being read along a RowWalk
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  torch::Tensor both(const torch::Tensor& tokens);

  int64_t channels_;
  double share_;  ///< of the sum
  std::shared_ptr<Linear> in_proj_, out_proj_;
  std::vector<MambaBranch> branches_;
  RowWalk walk_;
  torch::Tensor A_b_log_;  ///< shared
  torch::Tensor gamma_;    ///< undefined: no layer scale
};

}  // namespace mambaseg
