#pragma once

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/linear.h"

/// Vision-LSTM (Alkin et al. 2024) and the matrix LSTM inside it (Beck et al. 2024, xLSTM), named as in its
/// public code.
namespace mambaseg {

/// The matrix LSTM: with F_t the sum of log sigmoid(forget_r) over r <= t, token t reads
///   h_t = sum over s <= t of c_ts v_s / (max(|sum over s of c_ts|, exp(-m_t)) + 1e-6),
///   c_ts = (q_t . k_s) / sqrt(D) * exp(F_t - F_s + input_s - m_t), m_t the largest exponent before -m_t.
/// q, k, v (B, heads, L, D); input, forget (B, heads, L), before their nonlinearity -> (B, heads, L, D). As a
/// recurrence over pieces of `piece` tokens: within one all pairs at once, what lies before it as a matrix
/// D x D, so time and memory grow with L. One piece is the parallel form of the paper, pieces of one token
/// its recurrent form. Differentiable in all five.
torch::Tensor matrix_lstm(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                          const torch::Tensor& input, const torch::Tensor& forget, int64_t piece = 128);

/// Norm whose scale is 1 + "weight", without a shift, over each of `groups` of the last axis, eps 1e-5.
class OffsetNorm : public Layer {
 public:
  explicit OffsetNorm(int64_t width, int64_t groups = 1);
  /// x (..., width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  int64_t groups_;
  torch::Tensor weight_;
};

/// Gates from queries, keys and values, matrix_lstm, a norm of each head. Prefixes "igate", "fgate",
/// "outnorm".
class MatrixLstmCell : public Module {
 public:
  MatrixLstmCell(int64_t width, int64_t heads);
  /// q, k, v (B, L, width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v);

 private:
  int64_t heads_;
  std::shared_ptr<Linear> igate_, fgate_;
  std::shared_ptr<OffsetNorm> outnorm_;
};

/// x + layer(norm(x)). The layer: projection to 2 * width channels and a gate, causal depthwise convolution
/// of 4 tokens and SiLU, queries and keys from what was convolved and values from what was not, by a matrix
/// for every 4 channels (2 where 4 do not divide the width), the cell with as many heads, plus the convolved
/// channels scaled, gate, projection. Prefixes "norm", "layer".
class VilBlock : public Layer {
 public:
  explicit VilBlock(int64_t width);
  /// x (B, sizes..., width) -> the same sizes, tokens being read in raster order
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<OffsetNorm> norm_;
  std::shared_ptr<Linear> proj_up_, proj_down_;
  std::shared_ptr<Convolution> conv_;
  torch::Tensor q_, k_, v_, skip_;  ///< (blocks, out, in); (inner channels)
  std::shared_ptr<MatrixLstmCell> cell_;
};

}  // namespace mambaseg
