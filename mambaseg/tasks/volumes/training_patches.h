#pragma once

#include <optional>

#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/sample_source.h"
#include "mambaseg/tasks/volumes/augment.h"
#include "mambaseg/tasks/volumes/class_places.h"

namespace mambaseg {

/// Which patches of a case an epoch looks at.
struct SamplingSettings {
  std::string kind = "grid";
  int64_t positions = 3;
  int64_t patches_per_case = 27;
  double foreground = 0.33;

  void describe(SettingsVisitor& visit) {
    visit("kind", kind,
          "grid: the same positions in every epoch, spread evenly over each axis (MedSegMamba's 27); random: "
          "anew in "
          "every epoch",
          one_of({"grid", "random"}));
    visit("positions", positions, "grid: positions an axis; those that coincide count once", at_least(1));
    visit("patches_per_case", patches_per_case, "random: patches an epoch takes from a case", at_least(1));
    visit(
        "foreground", foreground,
        "random: share of the patches centred on a voxel of a class (or region) drawn from those of the case",
        between(0, 1));
  }
};

/// `count` starts spread evenly from 0 to size - patch, equal ones once: 0, floor((size - patch) / 2), size -
/// patch for 3.
std::vector<int64_t> grid_positions(int64_t size, int64_t patch, int64_t count);

/// The patch of `size` at `start` of a case, seen through `transform`: trilinear image, nearest labels, zero
/// and background outside. `swapped[k]` is what class k becomes under a flip along `side_axis`.
Sample cut_patch(const PreparedCase& one, const Index3& start, const Index3& size,
                 const PatchTransform& transform, int side_axis, const std::vector<int64_t>& swapped);

/// Draws the patches of one volume. Of a case with ignored voxels, random patches are centred on others, so
/// that none is without anything to learn.
class PatchSampler : public SampleSource {
 public:
  PatchSampler(const PreparedCase& one, const SamplingSettings& sampling, const AugmentSettings& augment,
               const Plan& plan);

  const std::string& id() const override { return case_.id; }
  int64_t count() const override;
  int64_t bytes() const override;
  Sample draw(int64_t patch, Random random) const override;

 private:
  Index3 random_start(Random& random) const;
  int64_t voxels_in(const std::vector<int64_t>& classes) const;
  int64_t counted_voxel(Random& random) const;
  int64_t drawn_voxel(const std::vector<int64_t>& classes, Random& random) const;

  PreparedCase case_;
  SamplingSettings sampling_;
  AugmentSettings augment_;
  Index3 size_;
  int side_axis_;
  std::vector<int64_t> swapped_;
  std::vector<Index3> grid_;
  std::optional<ClassPlaces> places_;             ///< of random patches
  std::vector<std::vector<int64_t>> structures_;  ///< the classes of each structure that occurs
  bool ignores_ = false;                          ///< some voxels are ignored
};

}  // namespace mambaseg
