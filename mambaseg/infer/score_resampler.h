#pragma once

#include <functional>
#include <optional>

#include <torch/types.h>

#include "mambaseg/data/crop.h"

namespace mambaseg {

/// Brings class scores to another grid over the same space (data/resize.h: linear, nearest along a separate
/// axis) while they come, slab by slab along the last axis, so that all classes of a whole volume never exist
/// at once.
class ScoreResampler {
 public:
  /// What the scores of a voxel are divided by to be probabilities: their sum, or map 0 (regions,
  /// LabelScheme).
  enum class Total { sum, first };
  /// Probabilities (K, X, Y) of slice z of the target grid.
  using Slice = std::function<void(const torch::Tensor& p_KXY, int64_t z)>;

  /// Scores come for `box` of a grid of `from` voxels (it may reach beyond); `slice` gets every slice of the
  /// grid of `to` voxels in order, with probability 1 of class 0 where the box does not reach.
  ScoreResampler(int64_t classes, const Index3& from, const Box& box, const Index3& to,
                 std::optional<int> separate, Slice slice, Total total = Total::sum);

  /// Scores (K, box x, box y, slices) of slices `first`, first + 1, ... of the box, without a gap to those
  /// before.
  void take(const torch::Tensor& scores_KXYZ, int64_t first);
  /// Hands out the slices behind the box.
  void finish();

 private:
  /// For the target voxels along an axis that lie in the box: the two box voxels and the share of the second.
  struct Axis {
    int64_t begin = 0, end = 0;  ///< target voxels in the box, half open
    torch::Tensor low, high, share;
    bool identity = false;
  };
  static Axis axis_of(int64_t from, int64_t start, int64_t size, int64_t to, int order);
  /// Scores of one slice as probabilities, float32.
  torch::Tensor normalised(const torch::Tensor& scores_KXY) const;
  torch::Tensor in_plane(torch::Tensor p_KXY) const;
  void hand_out(const torch::Tensor& inside_KXY);

  int64_t classes_;
  Index3 to_;
  std::array<Axis, 3> axes_;
  Slice slice_;
  Total total_;
  torch::Tensor last_KXY_;  ///< of the slab before
  int64_t next_ = 0;        ///< slice of the target
};

}  // namespace mambaseg
