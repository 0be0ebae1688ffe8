#pragma once

#include <array>
#include <vector>

#include <torch/types.h>

#include "mambaseg/core/geometry.h"
#include "mambaseg/kernels/class_votes.h"

namespace mambaseg {

/// For the target voxels along an axis that lie in the box of the scores: the two box voxels and the share of
/// the second; where that is 0 both are the first.
struct ResampledAxis {
  int64_t begin = 0, end = 0;  ///< target voxels in the box, half open
  std::vector<int64_t> low, high;
  std::vector<float> share;
};

/// `from` voxels of which the box begins at `start` and has `size`, brought to `to` (axis_taps of `order`).
ResampledAxis resampled_axis(int64_t from, int64_t start, int64_t size, int64_t to, int order);

/// What scores of a box become on the target grid.
struct ScoreGrids {
  int64_t classes;
  VoteTotal total;
  std::array<ResampledAxis, 3> axes;
  uint8_t* winners;  ///< of the whole target grid; may be null
  Index3 step;       ///< between winners along each axis
};

/// Sums of votes in the processor's memory, classes side by side, of the slices `first`, ... of the box along
/// the last axis.
struct ScoreSlab {
  const torch::Tensor& votes_KXYZ;
  int64_t first;
  const torch::Tensor& before_KXYZ;  ///< slice first - 1, where it is needed
};

/// The target slices begin <= z < end (counted from the first in the box), which need no slice beyond `slab`:
/// their winners, and the probabilities where `p_XYK` is defined, for which they must be one slice.
void resample(const ScoreSlab& slab, const ScoreGrids& grids, int64_t begin, int64_t end,
              const torch::Tensor& p_XYK);

}  // namespace mambaseg
