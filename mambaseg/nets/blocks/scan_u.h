#pragma once

#include "mambaseg/nets/blocks/x2net.h"

/// What the networks of nnUZoo share whose stages are Us of selective scans (SS2D2Net, SSND2Net).
namespace mambaseg {

/// How such a U is built: all its levels have `mid` channels.
struct ScanUParts {
  int64_t in, mid, out, levels;
  int64_t halvings;  ///< levels behind which the grid is halved; the others share theirs
  /// Reads the image, and its result is added in the end; may be null.
  std::shared_ptr<Layer> read = nullptr;
  /// Reads tokens (B, Y, X, mid).
  std::function<std::shared_ptr<Layer>(int64_t level, bool decoder)> scans = nullptr;
  bool projects_last = false;  ///< and a norm before the head
  bool unused = true;          ///< keep the heads of the coarser levels, which nothing passes
};

/// Prefixes "vssm_encoder" with "rebnconvin", "patch_embed", "layers", "downsamples", "vssm_decoder" with
/// "expand_layers", "concat_back_dim", "stages", "seg_layers".
class ScanU : public Layer {
 public:
  explicit ScanU(const ScanUParts& parts);
  /// x (B, in, Y, X) -> (B, out, Y, X)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<Layer> read_, embed_;
  std::vector<std::shared_ptr<Layer>> down_, up_;      ///< finest first; coarsest first
  std::vector<std::shared_ptr<GridMerging>> merging_;  ///< finest first
  std::vector<std::shared_ptr<GridExpanding>>
      expanding_;                              ///< coarsest first, may be null; last before the head
  std::vector<std::shared_ptr<Linear>> join_;  ///< coarsest first
  std::shared_ptr<Convolution> head_;
};

/// Merging as they have it: to `out` channels, columns first, an odd last row or column dropped.
GridMerging::Settings scan_u_merging(int64_t in, int64_t out);

/// Drop-path chances of the decoder's levels, coarsest first, where each takes the first of `blocks` out of
/// an even fall from `first` to 0 over two blocks a level.
std::vector<double> scan_u_falling_drop_path(int64_t levels, int64_t blocks, double first);

}  // namespace mambaseg
