#pragma once

#include <functional>
#include <optional>

#include <torch/types.h>

#include "mambaseg/data/crop.h"
#include "mambaseg/infer/score_tiles.h"

namespace mambaseg {

/// Brings class scores to another grid over the same space (data/resize.h: linear, nearest along a separate
/// axis) while they come, slab by slab along one axis, so that all classes of a whole volume never exist at
/// once.
class ScoreResampler {
 public:
  /// What the scores of a voxel are divided by to be probabilities: their sum, or map 0 (regions,
  /// LabelScheme).
  using Total = VoteTotal;
  /// Probabilities (K, X, Y) of slice z of the target grid.
  using Slice = std::function<void(const torch::Tensor& p_KXY, int64_t z)>;

  /// Scores come for `box` of a grid of `from` voxels (it may reach beyond). `slice`, where given, gets every
  /// slice of the grid of `to` voxels in order, with probability 1 of class 0 where the box does not reach.
  /// `winners`, where given, are as many bytes as that grid has voxels (first axis fastest), all 0: they
  /// become the number of the map that wins (winning_class), for at most 256 classes. Slabs come along
  /// `slab_axis`, which is the last where slices are handed out. Without `slice` slabs are worked on as they
  /// come, which is several times as fast.
  ScoreResampler(int64_t classes, const Index3& from, const Box& box, const Index3& to,
                 std::optional<int> separate, Slice slice, Total total = Total::sum,
                 uint8_t* winners = nullptr, int slab_axis = 2);

  /// Scores (K, X, Y, Z) of slices `first`, first + 1, ... of the box along the axis of the slabs, without a
  /// gap to those before.
  void take(const torch::Tensor& scores_KXYZ, int64_t first);
  /// Hands out the slices behind the box.
  void finish();

 private:
  void take_part(const torch::Tensor& scores_KXYZ, int64_t first);
  void hand_out(const torch::Tensor& inside_KXY);
  void skip_to(int64_t z);

  Index3 turn_;  ///< the axis of the grids that is the first, second, third here, that of the slabs last
  Index3 to_;    ///< turned as all that follows
  Slice slice_;
  ScoreGrids grids_;
  torch::Tensor last_KXYZ_;  ///< of the slab before, one slice
  int64_t next_ = 0;         ///< slice of the target
};

}  // namespace mambaseg
