#pragma once

#include <functional>

#include <torch/types.h>

#include "mambaseg/core/geometry.h"

namespace mambaseg {

/// The votes of one patch: what a network gives for it, and what each voxel counts.
struct PatchVotes {
  torch::Tensor numbers_KXYZ;  ///< probabilities, or scores of which the softmax votes
  bool scores = false;
  torch::Tensor weight_XYZ = {};  ///< contiguous; undefined: every voxel counts 1
};

/// sums += votes of the patch, (K, X, Y, Z) in fp32 or fp16, fastest where both have the classes of a voxel
/// side by side and the voxels of a line along the last axis behind each other.
void add_votes(const PatchVotes& patch, const torch::Tensor& sums_KXYZ);

/// Sums class probabilities of overlapping patches and holds only the slices that a later patch can still
/// change: as many along one axis as a patch is deep. Slices no later patch reaches are handed to
/// `release` and forgotten. The sums are those of a full volume of votes, bit for bit.
class SlabVotes {
 public:
  /// votes (K, X, Y, Z) of slices `first`, `first` + 1, ... of the volume along the axis. The tensor is a
  /// view that changes afterwards.
  using Release = std::function<void(const torch::Tensor& votes_KXYZ, int64_t first)>;

  /// `size` of the volume, `depth` of a patch along `axis`.
  SlabVotes(int64_t classes, const Index3& size, int64_t depth, torch::Device device, Release release,
            torch::ScalarType type = torch::kFloat32, int axis = 2);

  /// Adds what the patch at `start` votes for. Patches come with rising start[axis]; none reaches beyond the
  /// volume (Error).
  void add(const PatchVotes& patch, const Index3& start);
  void add(const torch::Tensor& probabilities_KXYZ, const Index3& start) {
    add(PatchVotes{probabilities_KXYZ}, start);
  }

  /// Releases what is left. Slices that no patch reached are released with zero votes.
  void finish();

  /// Bytes of the votes held at any time.
  static int64_t bytes(int64_t classes, const Index3& size, int64_t depth,
                       torch::ScalarType type = torch::kFloat32, int axis = 2);

 private:
  void release_until(int64_t slice);

  Index3 size_;
  int axis_;
  int64_t depth_;
  Release release_;
  torch::Tensor ring_KXYZ_;  // slice z of the axis lies at z modulo depth
  int64_t first_ = 0;        // first slice that is still held
};

}  // namespace mambaseg
