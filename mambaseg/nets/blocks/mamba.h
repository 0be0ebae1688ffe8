#pragma once

#include "mambaseg/config/config.h"
#include "mambaseg/nets/blocks/chosen_walks.h"
#include "mambaseg/nets/blocks/scan_twin.h"
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
  int64_t dims = 1;  ///< axes of the grid that the tokens lie on: of its walk (RowWalk) and a twin (ScanTwin)
};

/// The arguments that the official constructor and its forks share.
MambaSettings read_mamba_arguments(const Json& arguments);

/// What reads the tokens of a Mamba along one walk: causal depthwise convolution, SiLU, projections,
/// selective scan. Its modules and parameters lie in the owner, with a suffix in their names where an owner
/// has several: "conv1d_b", "x_proj_b", "dt_proj_b", "A_b_log", "D_b".
class MambaBranch {
 public:
  MambaBranch(torch::nn::Module& owner, const MambaSettings& settings, const std::string& suffix = "");
  /// The operands of the scan of tokens (B, L, C) along `walk`; null: in raster order.
  SelectiveScanInputs operands(const torch::Tensor& tokens_BLC, const ScanTables* walk) const;
  /// The scan of tokens (B, sizes..., C), times silu(gate) where one of the same sizes is given. In fp32.
  torch::Tensor follow(const torch::Tensor& tokens, const ScanTables* walk,
                       const torch::Tensor& gate = {}) const;
  bool is_twin() const { return twin_ != nullptr; }

 private:
  torch::Tensor convolved(const torch::Tensor& tokens_BLC, const ScanTables* walk) const;

  std::shared_ptr<Convolution> conv1d_;
  std::shared_ptr<Linear> x_proj_, dt_proj_;
  torch::Tensor A_log_, D_;
  PackedWeights packed_;            ///< of x_proj_
  std::shared_ptr<ScanTwin> twin_;  ///< in place of the five before
};

/// Mamba-1 (Gu & Dao 2023): projection to inner channels and gate, causal depthwise convolution, SiLU,
/// selective scan, gate, projection. No norm and no residual inside. Module names are those of
/// state-spaces/mamba.
class Mamba : public Layer {
 public:
  explicit Mamba(const MambaSettings& settings);

  /// x (B, sizes..., width) -> the same sizes, tokens being read along a RowWalk. `backwards` reads them from
  /// last to first: the same as reversing the sequence, running forwards and reversing the result, but
  /// without the copies.
  torch::Tensor read(const torch::Tensor& x, bool backwards);
  torch::Tensor forward(const torch::Tensor& x) override { return read(x, false); }

 private:
  int64_t channels_;
  std::shared_ptr<Linear> in_proj_, out_proj_;
  MambaBranch branch_;
  RowWalk walk_;
};

}  // namespace mambaseg
