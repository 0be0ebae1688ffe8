#pragma once

#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/plan.h"
#include "mambaseg/data/sample_source.h"
#include "mambaseg/tasks/synthetic/head_synthesis.h"

namespace mambaseg {

/// The label map of a head (Case::labels; images are not looked at) on the grid of the plan, cut to the box
/// of its labels. The image is that of the labels themselves, uint8 indices into head_labels, because
/// brightness is drawn for each of them; the classes are those of the plan. Throws Error with the case's id
/// in front: of label numbers that head_labels does not have, of a map without any of the plan's structures.
PreparedCase prepare_label_map(const Case& one, const Plan& plan, const Warn& warn = {});

Preparation label_map_preparation(const Plan& plan);

/// Draws an epoch's samples from one label map.
class SyntheticSampler : public SampleSource {
 public:
  SyntheticSampler(const PreparedCase& one, const SynthesisSettings& settings, const Plan& plan);

  const std::string& id() const override { return case_.id; }
  int64_t count() const override { return samples_; }
  int64_t bytes() const override;
  Sample draw(int64_t sample, Random random) const override;

 private:
  PreparedCase case_;
  int64_t samples_;
  int64_t patch_voxels_;
  HeadSynthesis synthesis_;
};

}  // namespace mambaseg
