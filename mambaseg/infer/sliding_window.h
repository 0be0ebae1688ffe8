#pragma once

#include <functional>

#include <torch/types.h>

#include "mambaseg/core/progress.h"
#include "mambaseg/data/crop.h"
#include "mambaseg/infer/votes.h"

namespace mambaseg {

/// Patches x (B, C, patch..., with context) -> class probabilities (B, K, patch...), each voxel's sum 1, or
/// scores (SlidingWindow::softmax).
using Probabilities = std::function<torch::Tensor(const torch::Tensor& x_BCXYZ)>;

struct SlidingWindow {
  Index3 patch{96, 96, 96};
  int64_t step = 16;  ///< at most the patch; patches lie at its multiples and their voxels count alike
  /// Above 0 in place of the step: patches are spread evenly, at most this share of a patch apart, and count
  /// by gaussian_importance (nnU-Net).
  double spread = 0;
  /// Voxels that the network sees besides the patch at both ends of the last axis, on which the volume is as
  /// much longer at both ends: of slices, their neighbours.
  int64_t context = 0;
  int64_t batch = 1;         ///< patches that go through the network together
  int64_t classes = 2;       ///< maps that are summed
  bool softmax = false;      ///< votes are the softmax of what the network gives
  int64_t score_copies = 2;  ///< tensors of a batch's scores that are there at once
  torch::Device device = torch::kCPU;
  torch::ScalarType votes = torch::kFloat32;  ///< kFloat16 halves the memory of the sums
  int slab_axis = 2;           ///< along which sums are held no longer than a later patch can change them
  bool votes_on_host = false;  ///< sums in the host's memory, where the device has too little
};

/// Starts of the patches that cover `size` voxels, the axis of the slabs outermost, then the last: at least a
/// voxel and at most a patch apart.
std::vector<Index3> window_starts(const Index3& size, const SlidingWindow& window);

/// The axis along which slabs of the votes for `size` voxels take least, the last where several do.
int smallest_slab_axis(const Index3& size, const Index3& patch);

/// Runs every patch of a volume (i, j, k) or (C, i, j, k) in the order of window_starts and sums the
/// probabilities in that order, times their weight (networks.md 1.8, steps 5 and 6). The official code takes
/// a second softmax of the sums: it cannot change the largest, so it is left out.
void vote(const torch::Tensor& volume, const SlidingWindow& window, const Probabilities& probabilities,
          const SlabVotes::Release& release, const Progress& progress = {});

/// Class numbers (spatial...) from sums of votes (K, spatial...).
using Decide = std::function<torch::Tensor(const torch::Tensor& votes_K)>;

/// What `decide` makes of the votes of every voxel of a volume of `size`, which `cast` hands out along
/// `slab_axis`, int32.
torch::Tensor decided(const Index3& size, const Decide& decide,
                      const std::function<void(const SlabVotes::Release& release)>& cast, int slab_axis = 2);

/// Throws Error unless the patches of `window` cover a box of `size` exactly.
void check_covered(const Index3& size, const SlidingWindow& window);

/// Number of patches, and most bytes that deciding all voxels of a box holds at once in the host's memory and
/// on a GPU (0 where the device is none), the network's own activations left out.
int64_t patch_count(const Box& box, const SlidingWindow& window);
int64_t peak_bytes(const Box& box, const SlidingWindow& window);
int64_t device_peak_bytes(const Box& box, const SlidingWindow& window);

}  // namespace mambaseg
