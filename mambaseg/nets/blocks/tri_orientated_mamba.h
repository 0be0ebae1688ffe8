#pragma once

#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/blocks/recent_grids.h"

namespace mambaseg {

struct TriOrientatedMambaSettings {
  int64_t width = 1024;
  int64_t states = 16;
  int64_t conv_kernel = 4;
  int64_t expand = 2;
  int64_t slices = 12;  ///< of the third walk, must divide the number of tokens; 0: those of the grid
  bool bias = false;
};

/// The tri-orientated Mamba mixer (ToM) of SegMamba (Xing et al. 2024; Mamba with bimamba_type v3): one
/// projection, then three Mamba branches that read the tokens forwards, backwards, and slice by slice (one
/// token of each slice in turn), each with its own causal convolution and scan; the sum is gated and
/// projected. The second and third branch have the official suffixes _b and _s. Where orders are chosen for
/// the network, there is a branch for each of their walks, from the fourth on with the suffixes _3, _4 and so
/// on.
class TriOrientatedMamba : public Layer {
 public:
  explicit TriOrientatedMamba(const TriOrientatedMambaSettings& settings);
  torch::Tensor forward(const torch::Tensor& x_BZYXC) override;

 private:
  std::vector<ScanOrder> orders(TokenGrid grid) const;

  int64_t slices_, channels_;
  std::optional<NamedOrders> chosen_;
  std::shared_ptr<Linear> in_proj_, out_proj_;
  std::vector<MambaBranch> branches_;
  RecentGrids<ScanTables> walks_;
};

}  // namespace mambaseg
