#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mambaseg/core/volume.h"
#include "mambaseg/metrics/metric.h"

namespace mambaseg {

/// The scores of one label in one case; values[m] belongs to the m-th of the metrics asked for, empty where
/// undefined.
struct LabelScores {
  int32_t label = 0;
  Presence presence = Presence::absent;
  Counts counts;
  std::vector<std::optional<double>> values;
};

struct ScoreOptions {
  std::vector<const Metric*> metrics;  ///< what to compute; work that none of them needs is not done
  double tolerance_mm = 1;             ///< of the normalised surface Dice
  Connectivity connectivity = Connectivity::corners;  ///< of lesions
  int threads = 1;
  int64_t ignored_voxels = 0;  ///< of the background of both images, not to be counted as right
};

/// The labels other than 0 that occur in an image, ascending. Throws Error on a negative label, with the
/// count.
std::vector<int32_t> labels_in(const Volume<int32_t>& image);

/// Scores each of `labels` (ascending, positive) between two label images on one grid. Throws Error when the
/// sizes differ, the grids lie further apart than a tenth of a voxel, or a spacing is not positive.
std::vector<LabelScores> compare_labels(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                                        std::span<const int32_t> labels, const ScoreOptions& options);

/// As above for one label, with what the metrics are computed from.
LabelComparison compare_label(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                              int32_t label, double tolerance_mm = 1,
                              Connectivity connectivity = Connectivity::corners);

/// Throws Error saying what differs unless the two grids may be compared voxel by voxel.
void require_comparable(const Geometry& reference, const Geometry& prediction);

}  // namespace mambaseg
