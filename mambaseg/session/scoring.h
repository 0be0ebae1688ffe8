#pragma once

#include <string>
#include <vector>

#include "mambaseg/metrics/compare_labels.h"

namespace mambaseg {

/// Metrics by their names; none: the usual ones, "all": every one. UsageError with the nearest name.
std::vector<const Metric*> metrics_named(const std::vector<std::string>& names);

/// Scores of two label images in memory.
struct ScoredLabels {
  std::vector<const Metric*> metrics;
  std::vector<LabelScores> labels;  ///< ascending; a value for each metric
};

/// Scores every label other than 0 that one of two images on one grid has. Throws Error for negative labels
/// and grids that differ.
ScoredLabels score_labels(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                          const ScoreOptions& options);

}  // namespace mambaseg
