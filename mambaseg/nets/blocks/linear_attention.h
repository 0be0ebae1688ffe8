#pragma once

#include "mambaseg/nets/blocks/recent_grids.h"
#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {

/// The linear attention of MLLA (Han et al. 2024, Demystify Mamba in Vision) on a plane of tokens x: with
/// q, k = elu(Linear(x)) + 1, their rotations q', k' by place (RoPE, before the heads are cut) and N tokens
///   y_i = q'_i (sum over j of k'_j^T x_j) / N / (q_i . mean over j of k_j + 1e-6)
/// in each head, plus a depthwise convolution of x (LePE). Values are the input itself, and what divides is
/// not rotated, as in the original. Time grows with N. In fp32. Prefixes "qk", "lepe".
class LinearAttention : public Layer, public ComputesEntries {
 public:
  /// UsageError unless 4 and `heads` divide the width.
  LinearAttention(int64_t width, int64_t heads);
  /// x (B, Y, X, width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BYXC) override;
  /// "rope.rotations" (Y, X, width / 2, 2): cosine and sine.
  bool check_computed(const std::string& name, const torch::Tensor& value) const override;

 private:
  int64_t width_, heads_;
  std::shared_ptr<Linear> qk_;
  std::shared_ptr<Convolution> lepe_;
  RecentGrids<torch::Tensor> rotations_;
};

}  // namespace mambaseg
