#pragma once

#include <functional>

#include <torch/torch.h>

#include "mambaseg/core/progress.h"
#include "mambaseg/data/crop.h"
#include "mambaseg/infer/votes.h"

namespace mambaseg {

/// Patches x (B, 1, patch...) -> class probabilities (B, K, patch...), each voxel's sum 1.
using Probabilities = std::function<torch::Tensor(const torch::Tensor& x_BCXYZ)>;

struct SlidingWindow {
  Index3 patch{96, 96, 96};
  int64_t step = 16;  ///< at most the patch
  int64_t batch = 1;  ///< patches that go through the network together
  int64_t classes = 2;
  torch::Device device = torch::kCPU;
};

/// Runs every patch of a volume (i, j, k), last axis outermost, and sums the probabilities in that order,
/// each patch with weight 1 (networks.md 1.8, steps 5 and 6). The official code takes a second softmax of the
/// sums: it cannot change the largest, so it is left out.
void vote(const torch::Tensor& volume_ijk, const SlidingWindow& window, const Probabilities& probabilities,
          const SlabVotes::Release& release, const Progress& progress = {});

/// The class with most votes of every voxel in `box` of an image (i, j, k), int32; the first of equals. The
/// box may reach beyond the image (zeros) and must be a whole number of steps longer than the patch.
torch::Tensor classes_in_box(const torch::Tensor& image_ijk, const Box& box, const SlidingWindow& window,
                             const Probabilities& probabilities, const Progress& progress = {});

/// Number of patches and most bytes that classes_in_box holds at once, the network's own activations left
/// out.
int64_t patch_count(const Box& box, const SlidingWindow& window);
int64_t peak_bytes(const Box& box, const SlidingWindow& window);

}  // namespace mambaseg
