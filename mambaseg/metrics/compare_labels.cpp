#include "mambaseg/metrics/compare_labels.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/metrics/parallel.h"
#include "mambaseg/metrics/surface.h"

namespace mambaseg {
namespace {

/// Voxel counts and surfaces of all labels in some planes of a case.
struct Slab {
  std::vector<Counts> counts;
  std::vector<std::vector<GridPoint>> reference_surface, prediction_surface;
};

/// Everything of a case that is gathered before the labels are looked at one by one.
struct Gathered {
  std::vector<Counts> counts;
  std::vector<Slab> slabs;

  std::vector<GridPoint> surface(std::vector<std::vector<GridPoint>> Slab::*which, size_t slot) const {
    std::vector<GridPoint> points;
    for (const Slab& slab : slabs)
      points.insert(points.end(), (slab.*which)[slot].begin(), (slab.*which)[slot].end());
    return points;
  }
};

std::vector<Counts> count_voxels(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                                 std::span<const int32_t> labels, int64_t k_begin, int64_t k_end) {
  std::vector<Counts> counts(labels.size());
  LabelSlots reference_slots(labels), prediction_slots(labels);
  const int64_t area = reference.geometry.size[0] * reference.geometry.size[1];
  for (int64_t v = k_begin * area; v < k_end * area; ++v) {
    const int32_t r = reference.voxels[size_t(v)], p = prediction.voxels[size_t(v)];
    if (r == 0 && p == 0) continue;
    const int64_t r_slot = reference_slots.slot(r), p_slot = prediction_slots.slot(p);
    if (r == p) {
      if (r_slot >= 0) ++counts[size_t(r_slot)].tp;
      continue;
    }
    if (r_slot >= 0) ++counts[size_t(r_slot)].fn;
    if (p_slot >= 0) ++counts[size_t(p_slot)].fp;
  }
  return counts;
}

Gathered gather(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                std::span<const int32_t> labels, bool surfaces, int threads) {
  const int64_t planes = reference.geometry.size[2];
  const int64_t slab_count = std::min<int64_t>(planes, 4 * std::max(1, threads));
  Gathered all;
  all.slabs.resize(size_t(slab_count));
  for_each_index(slab_count, threads, [&](int64_t s) {
    const int64_t begin = planes * s / slab_count, end = planes * (s + 1) / slab_count;
    Slab& slab = all.slabs[size_t(s)];
    slab.counts = count_voxels(reference, prediction, labels, begin, end);
    if (!surfaces) return;
    slab.reference_surface = surface_voxels(reference, labels, begin, end);
    slab.prediction_surface = surface_voxels(prediction, labels, begin, end);
  });
  all.counts.resize(labels.size());
  for (const Slab& slab : all.slabs)
    for (size_t l = 0; l < labels.size(); ++l) {
      all.counts[l].tp += slab.counts[l].tp;
      all.counts[l].fp += slab.counts[l].fp;
      all.counts[l].fn += slab.counts[l].fn;
    }
  for (Counts& c : all.counts) c.tn = reference.geometry.voxel_count() - c.tp - c.fp - c.fn;
  return all;
}

LabelComparison comparison_of(const Gathered& all, size_t slot, const Geometry& geometry, bool surfaces,
                              double tolerance_mm) {
  LabelComparison label;
  label.counts = all.counts[slot];
  label.tolerance_mm = tolerance_mm;
  label.voxel_volume_mm3 = geometry.voxel_volume_mm3();
  const Vector3 spacing = geometry.spacing_mm();
  double squared = 0;
  for (int axis = 0; axis < 3; ++axis)
    squared += std::pow(double(geometry.size[axis] - 1) * spacing[axis], 2);
  label.diagonal_mm = std::sqrt(squared);
  if (surfaces) {
    const auto reference = all.surface(&Slab::reference_surface, slot);
    const auto prediction = all.surface(&Slab::prediction_surface, slot);
    auto& [forth, back] = label.surface;
    forth = nearest_distances(reference, prediction, spacing);
    back = nearest_distances(prediction, reference, spacing);
    std::sort(forth.begin(), forth.end());
    std::sort(back.begin(), back.end());
  }
  return label;
}

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
  const bool surfaces = std::any_of(options.metrics.begin(), options.metrics.end(),
                                    [](const Metric* metric) { return metric->needs_surface; });
  const Gathered all = gather(reference, prediction, labels, surfaces, options.threads);
  std::vector<LabelScores> scores(labels.size());
  for_each_index(int64_t(labels.size()), options.threads, [&](int64_t l) {
    const LabelComparison label =
        comparison_of(all, size_t(l), reference.geometry, surfaces, options.tolerance_mm);
    LabelScores& out = scores[size_t(l)];
    out.label = labels[size_t(l)];
    out.presence = label.presence();
    out.counts = label.counts;
    for (const Metric* metric : options.metrics) out.values.push_back(score(*metric, label));
  });
  return scores;
}

LabelComparison compare_label(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                              int32_t label, double tolerance_mm) {
  require_comparable(reference.geometry, prediction.geometry);
  const std::vector<int32_t> labels{label};
  return comparison_of(gather(reference, prediction, labels, true, 1), 0, reference.geometry, true,
                       tolerance_mm);
}

}  // namespace mambaseg
