#pragma once

#include "mambaseg/nets/blocks/chosen_walks.h"
#include "mambaseg/nets/blocks/scan_projection.h"
#include "mambaseg/nets/blocks/scan_twin.h"
#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {

/// How the mixer of LoG-VMamba is built.
struct LocalGlobalSettings {
  int64_t dims = 3;
  int64_t width = 32;          ///< channels of the tokens
  int64_t states = 16;         ///< of the scan a channel
  double expand = 1;           ///< channels inside / width
  bool local = true;           ///< tokens carry their neighbourhood (LTX)
  bool global = true;          ///< tokens of the whole grid among them (GTX)
  int64_t stride = 2;          ///< global: of the convolution that looks at the grid: 1, 2, 4 or 8
  int64_t squeeze = 1;         ///< global: channels of the tokens / number of global tokens
  Extent positions = {};       ///< global: grid that the convolution leaves, or their number alone
  std::string place = "even";  ///< of the global tokens: head, center, split, even

  int64_t local_squeeze() const {
    return dims == 3 ? 16 : 8;
  }  ///< channels inside / maps with neighbourhoods
  int64_t neighbours() const { return dims == 3 ? 27 : 9; }
};

/// In what order a scan reads `globals` global tokens and `locals` local ones, which lie behind them, by
/// their place: head: in front; center: behind half of the locals; split: halves in front of halves (in the
/// plane quarters in front and behind, the others in the middle); even: spread, those that do not fit in
/// front. UsageError for another place.
ScanOrder local_global_order(int64_t globals, int64_t locals, const std::string& place, int64_t dims);

/// The mixer of LoG-VMamba (Dang et al. 2024): projection with a gate, convolution, a selective scan in
/// raster order (or the first of the orders that are chosen for the network), norm, gate, projection. With
/// `local` the convolution joins runs of channels, each of its maps is replaced by the 3 x 3 (x 3) neighbours
/// of every voxel, and a projection folds the result. With `global` a strided convolution and a layer over
/// all its positions make tokens of the whole grid, which the scan reads among the others. On grids of
/// another size than that of `positions` these are interpolated to it. Parameter names equal those of the
/// official classes (SS3Depth, SS3DConv, SS3DepthConv and the 2-D ones).
class LocalGlobalScan : public Layer, public ComputesEntries {
 public:
  explicit LocalGlobalScan(const LocalGlobalSettings& settings);
  /// x (B, sizes..., width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override;
  /// The official class holds the neighbourhood as a convolution with the identity.
  bool check_computed(const std::string& name, const torch::Tensor& value) const override;

 private:
  torch::Tensor with_neighbours(const torch::Tensor& tokens) const;
  torch::Tensor global_tokens(const torch::Tensor& tokens) const;
  torch::Tensor scanned(const torch::Tensor& tokens, const torch::Tensor& globals_BLC);
  /// Of `globals` global tokens and the grid behind them.
  ScanOrder order(TokenGrid grid, int64_t globals) const;

  LocalGlobalSettings settings_;
  int64_t inner_;
  std::optional<NamedOrders> chosen_;
  std::shared_ptr<Linear> in_proj_, out_proj_, fold_, depth_fc_;
  std::shared_ptr<Convolution> conv_, depth_conv_;
  std::shared_ptr<LayerNorm> out_norm_;
  ScanParameters scan_;
  RecentGrids<ScanTables> orders_;
  std::shared_ptr<ScanTwin> twin_;  ///< in place of scan_ and what it reads along
};

/// x + path(mixer(norm(x))) on tokens. Prefixes `norm_name`, "self_attention".
class LocalGlobalBlock : public Layer {
 public:
  LocalGlobalBlock(const LocalGlobalSettings& mixer, const char* norm_name, double norm_eps,
                   double drop_path);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<LocalGlobalScan> mixer_;
  std::shared_ptr<DropPath> path_;
};

}  // namespace mambaseg
