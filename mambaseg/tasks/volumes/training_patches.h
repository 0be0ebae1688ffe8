#pragma once

#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/sample_source.h"
#include "mambaseg/tasks/volumes/augment.h"
#include "mambaseg/tasks/volumes/sample_positions.h"

namespace mambaseg {

/// The patch of `size` at `start` of a case, seen through `transform`: trilinear image, nearest labels, zero
/// and background outside. `swapped[k]` is what class k becomes under a flip along `side_axis`.
Sample cut_patch(const PreparedCase& one, const Index3& start, const Index3& size,
                 const PatchTransform& transform, int side_axis, const std::vector<int64_t>& swapped);

/// Draws the patches of one volume.
class PatchSampler : public SampleSource {
 public:
  PatchSampler(const PreparedCase& one, const SamplingSettings& sampling, const AugmentSettings& augment,
               const Plan& plan);

  const std::string& id() const override { return case_.id; }
  int64_t count() const override { return positions_.count(); }
  int64_t bytes() const override;
  Sample draw(int64_t patch, Random random) const override;

 private:
  PreparedCase case_;
  AugmentSettings augment_;
  Index3 size_;
  int side_axis_;
  std::vector<int64_t> swapped_;
  SamplePositions positions_;
};

}  // namespace mambaseg
