#pragma once

#include "mambaseg/data/planes.h"
#include "mambaseg/data/sample_source.h"
#include "mambaseg/tasks/volumes/augment.h"
#include "mambaseg/tasks/volumes/sample_positions.h"

namespace mambaseg {

/// Draws the thick slices of one volume: rows and columns of Plan::patch of the slices of Plan::plane with
/// their neighbours, (C * slices, rows, columns), and the classes of the slice in the middle, merged where
/// the network does not tell sides apart. A slice that is smaller than the patch has zeros behind it, a
/// larger one is cut. Rotations, scalings and displacements are those of a plane, the same for all its
/// slices.
class SliceSampler : public SampleSource {
 public:
  SliceSampler(const PreparedCase& one, const SamplingSettings& sampling, const AugmentSettings& augment,
               const Plan& plan);

  const std::string& id() const override { return case_.id; }
  int64_t count() const override { return positions_.count(); }
  int64_t bytes() const override;
  Sample draw(int64_t sample, Random random) const override;

 private:
  PreparedCase slab_at(int64_t slice) const;
  torch::Tensor drawn_scale_factors(const PatchTransform& transform, Random& random) const;

  PreparedCase case_;
  Plan plan_;
  PlaneAxes axes_;
  AugmentSettings augment_;  ///< flips in the order row, column, slice
  int side_axis_;            ///< of rows, columns and slices
  std::vector<int64_t> swapped_;
  torch::Tensor merged_;  ///< undefined where the network has the classes of the plan
  SamplePositions positions_;
};

}  // namespace mambaseg
