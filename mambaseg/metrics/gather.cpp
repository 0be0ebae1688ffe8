#include "mambaseg/metrics/gather.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mambaseg/core/workers.h"
#include "mambaseg/metrics/surface.h"

namespace mambaseg {
namespace {

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

WeightedDistances sorted_with_areas(const std::vector<double>& distances, const std::vector<double>& areas) {
  std::vector<size_t> order(distances.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return distances[a] < distances[b] || (distances[a] == distances[b] && areas[a] < areas[b]);
  });
  WeightedDistances sorted;
  sorted.distance_mm.reserve(order.size());
  sorted.area.reserve(order.size());
  for (const size_t o : order) {
    sorted.distance_mm.push_back(distances[o]);
    sorted.area.push_back(areas[o]);
  }
  return sorted;
}

}  // namespace

GatheredCase::GatheredCase(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                           std::span<const int32_t> labels, const Wanted& wanted, Connectivity connectivity,
                           int threads)
    : geometry_(reference.geometry), wanted_(wanted), counts_(labels.size()), lesions_(labels.size()) {
  const int64_t planes = geometry_.size[2];
  const int64_t cube_planes = planes > 1 ? planes + 1 : 1;
  const int64_t slab_count = std::min<int64_t>(planes, 4 * std::max(1, threads));
  slabs_.resize(size_t(slab_count));
  Components components[2];
  const int64_t extra = wanted.lesions ? 2 : 0;  // the two component labellings are the longest pieces: first
  run_jobs(slab_count + extra, threads, [&](int64_t piece) {
    if (piece < extra) {
      components[piece] = connected_components(piece == 0 ? reference : prediction, connectivity);
      return;
    }
    const int64_t s = piece - extra;
    const auto part = [&](int64_t count, int64_t end) { return count * (s + end) / slab_count; };
    Slab& slab = slabs_[size_t(s)];
    slab.counts = count_voxels(reference, prediction, labels, part(planes, 0), part(planes, 1));
    for (const auto& [image, side] :
         {std::pair{&reference, &slab.reference}, {&prediction, &slab.prediction}}) {
      if (wanted.surface) side->surface = surface_voxels(*image, labels, part(planes, 0), part(planes, 1));
      if (wanted.surfels)
        side->surfels = find_surfels(*image, labels, part(cube_planes, 0), part(cube_planes, 1));
    }
  });
  for (const Slab& slab : slabs_)
    for (size_t l = 0; l < labels.size(); ++l) {
      counts_[l].tp += slab.counts[l].tp;
      counts_[l].fp += slab.counts[l].fp;
      counts_[l].fn += slab.counts[l].fn;
    }
  for (Counts& c : counts_) c.tn = geometry_.voxel_count() - c.tp - c.fp - c.fn;
  if (wanted.lesions) lesions_ = count_lesions(components[0], components[1], labels);
}

std::vector<GridPoint> GatheredCase::surface(Side Slab::*side, size_t slot) const {
  std::vector<GridPoint> all;
  for (const Slab& slab : slabs_) {
    const auto& part = (slab.*side).surface[slot];
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

Surfels GatheredCase::surfels(Side Slab::*side, size_t slot) const {
  Surfels all;
  for (const Slab& slab : slabs_) {
    const Surfels& part = (slab.*side).surfels[slot];
    all.cubes.insert(all.cubes.end(), part.cubes.begin(), part.cubes.end());
    all.areas.insert(all.areas.end(), part.areas.begin(), part.areas.end());
  }
  return all;
}

LabelComparison GatheredCase::comparison(size_t slot, double tolerance_mm) const {
  const Vector3 spacing = geometry_.spacing_mm();
  LabelComparison label;
  label.counts = counts_[slot];
  label.lesions = lesions_[slot];
  label.tolerance_mm = tolerance_mm;
  label.voxel_volume_mm3 = geometry_.voxel_volume_mm3();
  label.diagonal_mm =
      std::hypot(double(geometry_.size[0] - 1) * spacing[0], double(geometry_.size[1] - 1) * spacing[1],
                 double(geometry_.size[2] - 1) * spacing[2]);
  if (wanted_.surface) {
    const auto reference = surface(&Slab::reference, slot), prediction = surface(&Slab::prediction, slot);
    auto& [forth, back] = label.surface;
    forth = nearest_distances(reference, prediction, spacing);
    back = nearest_distances(prediction, reference, spacing);
    std::sort(forth.begin(), forth.end());
    std::sort(back.begin(), back.end());
  }
  if (wanted_.surfels) {
    const Surfels reference = surfels(&Slab::reference, slot), prediction = surfels(&Slab::prediction, slot);
    label.surfels_reference_to_prediction =
        sorted_with_areas(nearest_distances(reference.cubes, prediction.cubes, spacing), reference.areas);
    label.surfels_prediction_to_reference =
        sorted_with_areas(nearest_distances(prediction.cubes, reference.cubes, spacing), prediction.areas);
  }
  return label;
}

}  // namespace mambaseg
