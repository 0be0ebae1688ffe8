#include "mambaseg/tasks/volumes/sample_positions.h"

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/core/ignored_class.h"
#include "mambaseg/data/label_scheme.h"

namespace mambaseg {

std::vector<int64_t> grid_positions(int64_t size, int64_t patch, int64_t count) {
  const int64_t room = std::max<int64_t>(0, size - patch);
  std::vector<int64_t> starts;
  for (int64_t i = 0; i < count; ++i) starts.push_back(count == 1 ? room / 2 : room * i / (count - 1));
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  return starts;
}

SamplePositions::SamplePositions(const PreparedCase& one, const SamplingSettings& sampling,
                                 const Index3& size, const LabelSettings& labels)
    : classes_IJK_(one.classes_IJK), sampling_(sampling), whole_(one.size()), size_(size) {
  for (int a = 0; a < 3; ++a)
    require(whole_[a] >= size_[a], "case ", one.id, ": smaller than a patch; prepare it again");
  if (sampling_.kind == "grid") {
    for (const int64_t i : grid_positions(whole_[0], size_[0], sampling_.positions))
      for (const int64_t j : grid_positions(whole_[1], size_[1], sampling_.positions))
        for (const int64_t k : grid_positions(whole_[2], size_[2], sampling_.positions))
          grid_.push_back({i, j, k});
    return;
  }
  places_.emplace(classes_IJK_);
  ignores_ = places_->count(kIgnoredClass) > 0;
  const LabelScheme scheme(labels);
  for (const auto& members : scheme.structures())
    if (voxels_in(members) > 0) structures_.push_back(members);
}

int64_t SamplePositions::count() const {
  return sampling_.kind == "grid" ? static_cast<int64_t>(grid_.size()) : sampling_.patches_per_case;
}

Index3 SamplePositions::start(int64_t patch, Random& random) const {
  return sampling_.kind == "grid" ? grid_[static_cast<size_t>(patch)] : random_start(random);
}

int64_t SamplePositions::voxels_in(const std::vector<int64_t>& classes) const {
  int64_t sum = 0;
  for (const int64_t k : classes) sum += places_->count(k);
  return sum;
}

int64_t SamplePositions::drawn_voxel(const std::vector<int64_t>& classes, Random& random) const {
  int64_t at = random.below(voxels_in(classes));
  for (const int64_t k : classes) {
    if (at < places_->count(k)) return places_->place(k, at);
    at -= places_->count(k);
  }
  throw Error("patches: a class without voxels was drawn");
}

/// Any voxel that is not ignored; after many attempts, where next to nothing was labelled, any.
int64_t SamplePositions::counted_voxel(Random& random) const {
  constexpr int kAttempts = 100'000;
  const auto* classes = classes_IJK_.data_ptr<uint8_t>();
  int64_t voxel = random.below(classes_IJK_.numel());
  for (int i = 0; i < kAttempts && classes[voxel] == kIgnoredClass; ++i)
    voxel = random.below(classes_IJK_.numel());
  return voxel;
}

Index3 SamplePositions::random_start(Random& random) const {
  Index3 start;
  std::optional<int64_t> centre;
  if (!structures_.empty() && random.coin(sampling_.foreground))
    centre = drawn_voxel(
        structures_[static_cast<size_t>(random.below(static_cast<int64_t>(structures_.size())))], random);
  else if (ignores_)
    centre = counted_voxel(random);
  if (centre) {
    const int64_t voxel = *centre;
    const Index3 place{voxel / (whole_[1] * whole_[2]), voxel / whole_[2] % whole_[1], voxel % whole_[2]};
    for (int a = 0; a < 3; ++a) {
      // Off the centre by up to a quarter of the edge, so that the class is not always in the middle.
      const int64_t shift = random.below(size_[a] / 2 + 1) - size_[a] / 4;
      start[a] = std::clamp<int64_t>(place[a] - size_[a] / 2 + shift, 0, whole_[a] - size_[a]);
    }
    return start;
  }
  for (int a = 0; a < 3; ++a) start[a] = random.below(whole_[a] - size_[a] + 1);
  return start;
}

}  // namespace mambaseg
