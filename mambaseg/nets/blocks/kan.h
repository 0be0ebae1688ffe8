#pragma once

#include "mambaseg/nets/layers/layer.h"

/// Layers of Kolmogorov-Arnold networks, whose activations are learnt.
namespace mambaseg {

/// silu(x) W^T plus, for each input, a learnt B-spline on [-1, 1] of `intervals` intervals (with order more
/// basis functions, 0 outside the knots that reach `order` intervals further): KANLinear of efficient-kan,
/// without its updates of the grid. Parameters "base_weight" (out, in), "spline_weight" (out, in, intervals +
/// order), "spline_scaler" (out, in); buffer "grid" (in, intervals + 2 order + 1), the knots.
class KanLinear : public Layer {
 public:
  KanLinear(int64_t in, int64_t out, int64_t intervals = 5, int64_t order = 3);
  /// x (..., in) -> (..., out)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  int64_t order_;
  torch::Tensor base_weight_, spline_weight_, spline_scaler_, grid_;
};

/// A learnt rational function of each number (KAT, Yang & Wang 2024): P(x) / Q(x), P of degree 5 for all
/// channels, Q = 1 + |b0 x| + |b1 x^2| + |b2 x^3| + |b3 x^4| for each of 8 groups of channels; it starts as
/// GELU. Parameters "weight_numerator" (1, 6), "weight_denominator" (8, 4).
class GroupRational : public Layer {
 public:
  GroupRational();
  /// x (..., C) -> the same sizes, C being a multiple of 8
  torch::Tensor forward(const torch::Tensor& x) override;
  static constexpr int64_t kGroups = 8;

 private:
  torch::Tensor numerator_, denominator_;
};

}  // namespace mambaseg
