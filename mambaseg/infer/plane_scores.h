#pragma once

#include <vector>

#include <torch/types.h>

#include "mambaseg/data/planes.h"
#include "mambaseg/infer/sliding_window.h"

namespace mambaseg {

/// Sums of the class scores (before softmax) that networks of several planes give to the voxels of a volume
/// (the view aggregation of Henschel et al.: FastSurfer, NeuroImage 2020).
class PlaneScores {
 public:
  /// `maps` of scores of a volume of `size` voxels.
  PlaneScores(int64_t maps, const Index3& size, torch::Device device,
              torch::ScalarType type = torch::kFloat32);

  /// Adds `weight` times the scores (K, rows, columns, slices) of the slices `first`, `first` + 1, ...; rows
  /// and columns beyond the volume are cut. `merged`: the map of the network that each map takes
  /// (merged_classes); empty where they are the same.
  void add(const torch::Tensor& scores_KYXS, int64_t first, const PlaneAxes& axes, double weight,
           const std::vector<int64_t>& merged = {});

  /// (maps, i, j, k)
  const torch::Tensor& sums() const { return sums_KIJK_; }

  static int64_t bytes(int64_t maps, const Index3& size, torch::ScalarType type);

 private:
  torch::Tensor sums_KIJK_;
};

/// Class scores (K, rows, columns, slices) of the slices `first`, `first` + 1, ... of a volume, in their
/// order. The tensor is only valid while it is handed out.
using SliceScores = std::function<void(const torch::Tensor& scores_KYXS, int64_t first)>;

/// Runs a network of two dimensions over all slices of a volume (C, i, j, k): x (B, C * slices, rows,
/// columns)
/// -> scores (B, K, rows, columns). Slices smaller than the patch (rows, columns) have zeros behind them;
/// larger ones are seen in several patches as `window` says, whose scores are averaged. Of `window` the patch
/// is {rows, columns, 1}, the context half of the neighbours.
void score_slices(const torch::Tensor& volume_CIJK, const PlaneAxes& axes, const SlidingWindow& window,
                  const Probabilities& network, const SliceScores& take, const Progress& progress = {});

/// Passes of score_slices through the network, and bytes that it holds at once, the network's own activations
/// left out.
int64_t slice_patch_count(const Index3& size, const PlaneAxes& axes, const SlidingWindow& window);
int64_t slice_bytes(const Index3& size, int64_t channels, const PlaneAxes& axes, const SlidingWindow& window);

}  // namespace mambaseg
