#include "mambaseg/metrics/compare_labels.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/core/workers.h"
#include "mambaseg/metrics/gather.h"

namespace mambaseg {
namespace {

/// How far the corner voxels of one grid lie from those of the other at most.
double largest_shift_mm(const Geometry& a, const Geometry& b) {
  double largest = 0;
  for (int corner = 0; corner < 8; ++corner) {
    Vector3 voxel{};
    for (int axis = 0; axis < 3; ++axis) voxel[axis] = (corner >> axis & 1) ? double(a.size[axis] - 1) : 0;
    const Vector3 pa = a.voxel_to_ras_mm(voxel), pb = b.voxel_to_ras_mm(voxel);
    largest = std::max(largest, std::hypot(pa[0] - pb[0], pa[1] - pb[1], pa[2] - pb[2]));
  }
  return largest;
}

}  // namespace

void require_comparable(const Geometry& reference, const Geometry& prediction) {
  require(reference.size == prediction.size, "the grids differ: reference ", describe(reference),
          ", prediction ", describe(prediction));
  const Vector3 spacing = reference.spacing_mm();
  const double smallest = std::min({spacing[0], spacing[1], spacing[2]});
  require(smallest > 0, "a voxel of the reference has no size: ", describe(reference));
  require(same_grid(reference, prediction, 0.1 * smallest), "the grids have the same size but lie up to ",
          largest_shift_mm(reference, prediction), " mm apart: reference ", describe(reference),
          ", prediction ", describe(prediction));
}

std::vector<int32_t> labels_in(const Volume<int32_t>& image) {
  std::vector<int32_t> found;
  int64_t negative = 0;
  int32_t last = 0;
  for (const int32_t label : image.voxels) {
    if (label == last) continue;
    last = label;
    if (label < 0) ++negative;
    const auto at = std::lower_bound(found.begin(), found.end(), label);
    if (label != 0 && (at == found.end() || *at != label)) found.insert(at, label);
  }
  require(negative == 0, "labels must not be negative, found ", found.empty() ? 0 : found.front());
  return found;
}

std::vector<LabelScores> compare_labels(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                                        std::span<const int32_t> labels, const ScoreOptions& options) {
  require_comparable(reference.geometry, prediction.geometry);
  const auto needed = [&](Basis basis) {
    return std::any_of(options.metrics.begin(), options.metrics.end(),
                       [basis](const Metric* metric) { return metric->basis == basis; });
  };
  const Wanted wanted{needed(Basis::surface), needed(Basis::surfels), needed(Basis::lesions)};
  const GatheredCase gathered(reference, prediction, labels, wanted, options.connectivity, options.threads);
  std::vector<LabelScores> scores(labels.size());
  run_jobs(int64_t(labels.size()), options.threads, [&](int64_t l) {
    LabelComparison label = gathered.comparison(size_t(l), options.tolerance_mm);
    label.counts.tn -= options.ignored_voxels;
    LabelScores& out = scores[size_t(l)];
    out.label = labels[size_t(l)];
    out.presence = label.presence();
    out.counts = label.counts;
    for (const Metric* metric : options.metrics) out.values.push_back(score(*metric, label));
  });
  return scores;
}

LabelComparison compare_label(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                              int32_t label, double tolerance_mm, Connectivity connectivity) {
  require_comparable(reference.geometry, prediction.geometry);
  const std::vector<int32_t> labels{label};
  return GatheredCase(reference, prediction, labels, {}, connectivity, 1).comparison(0, tolerance_mm);
}

}  // namespace mambaseg
