#pragma once

#include <functional>

#include <torch/types.h>

#include "mambaseg/core/geometry.h"

namespace mambaseg {

/// Sums class probabilities of overlapping patches and holds only the slices that a later patch can still
/// change: as many along the last axis as a patch is deep. Slices no later patch reaches are handed to
/// `release` and forgotten. The sums are those of a full volume of votes, bit for bit.
class SlabVotes {
 public:
  /// votes (K, X, Y, slices) of slices `first`, `first` + 1, ... of the volume. The tensor is a view that
  /// changes afterwards.
  using Release = std::function<void(const torch::Tensor& votes_KXYZ, int64_t first)>;

  /// `size` of the volume, `depth` of a patch along the last axis.
  SlabVotes(int64_t classes, const Index3& size, int64_t depth, torch::Device device, Release release,
            torch::ScalarType type = torch::kFloat32);

  /// Adds probabilities (K, patch...) of the patch at `start`. Patches come with rising start[2]; none
  /// reaches beyond the volume (Error).
  void add(const torch::Tensor& probabilities_KXYZ, const Index3& start);

  /// Releases what is left. Slices that no patch reached are released with zero votes.
  void finish();

  /// Bytes of the votes held at any time.
  static int64_t bytes(int64_t classes, const Index3& size, int64_t depth,
                       torch::ScalarType type = torch::kFloat32);

 private:
  void release_until(int64_t slice);

  Index3 size_;
  int64_t depth_;
  Release release_;
  torch::Tensor ring_KXYR_;  // slice z lies at z modulo depth
  int64_t first_ = 0;        // first slice that is still held
};

}  // namespace mambaseg
