#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mambaseg/core/random.h"
#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/plan.h"
#include "mambaseg/tasks/volumes/class_places.h"

namespace mambaseg {

/// Which patches (or slices) of a case an epoch looks at.
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

/// Where the patches of one case begin. Of a case with ignored voxels, random patches are centred on others,
/// so that none is without anything to learn.
class SamplePositions {
 public:
  /// `size` of the patches, at most that of the case. `one` is kept alive by who has the positions.
  SamplePositions(const PreparedCase& one, const SamplingSettings& sampling, const Index3& size,
                  const LabelSettings& labels);

  /// Patches an epoch takes.
  int64_t count() const;
  Index3 start(int64_t patch, Random& random) const;

 private:
  Index3 random_start(Random& random) const;
  int64_t voxels_in(const std::vector<int64_t>& classes) const;
  int64_t counted_voxel(Random& random) const;
  int64_t drawn_voxel(const std::vector<int64_t>& classes, Random& random) const;

  torch::Tensor classes_IJK_;
  SamplingSettings sampling_;
  Index3 whole_, size_;
  std::vector<Index3> grid_;
  std::optional<ClassPlaces> places_;             ///< of random patches
  std::vector<std::vector<int64_t>> structures_;  ///< the classes of each structure that occurs
  bool ignores_ = false;                          ///< some voxels are ignored
};

}  // namespace mambaseg
