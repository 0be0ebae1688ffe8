#pragma once

#include <array>

#include "mambaseg/nets/blocks/of_last_grid.h"
#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/ops/selective_scan.h"

namespace mambaseg {

struct TriOrientatedMambaSettings {
  int64_t width = 1024;
  int64_t states = 16;
  int64_t conv_kernel = 4;
  int64_t expand = 2;
  int64_t slices = 12;  ///< of the third walk; must divide the number of tokens
  bool bias = false;
};

/// The tri-orientated Mamba mixer (ToM) of SegMamba (Xing et al. 2024; Mamba with bimamba_type v3): one
/// projection, then three Mamba branches that read the tokens forwards, backwards, and slice by slice (one
/// token of each slice in turn), each with its own causal convolution and scan; the sum is gated and
/// projected. The second and third branch have the official suffixes _b and _s.
class TriOrientatedMamba : public Layer {
 public:
  explicit TriOrientatedMamba(const TriOrientatedMambaSettings& settings);
  torch::Tensor forward(const torch::Tensor& x_BZYXC) override;

 private:
  /// Causal convolution, projections and scan along one walk.
  struct Branch {
    std::shared_ptr<Convolution> conv;
    std::shared_ptr<Linear> x_proj, dt_proj;
    torch::Tensor A_log, D;
    PackedWeights packed;  ///< of x_proj
  };
  torch::Tensor follow(const ScanTables& walk, const Branch& branch, const torch::Tensor& tokens_BLC) const;

  TriOrientatedMambaSettings settings_;
  int64_t channels_, rank_;
  std::shared_ptr<Linear> in_proj_, out_proj_;
  std::array<Branch, 3> branches_;
  OfLastGrid<ScanTables> walks_;
};

}  // namespace mambaseg
