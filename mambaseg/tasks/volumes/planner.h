#pragma once

#include "mambaseg/tasks/volumes/fingerprint.h"

namespace mambaseg {

/// What the planner may spend and what networks it plans for.
struct PlannerSettings {
  double memory_gib = 8;
  int64_t first_features = 32;
  int64_t most_features = 320;
  int64_t least_batch = 2;
  int64_t least_edge = 4;

  void describe(SettingsVisitor& visit) {
    visit("memory_gib", memory_gib, "memory that one training step may take", at_least(0.1));
    visit("first_features", first_features, "channels at full resolution; doubled with each halving",
          at_least(1));
    visit("most_features", most_features, "most channels of a stage", at_least(1));
    visit("least_batch", least_batch, "patches that go through the network together, at least", at_least(1));
    visit("least_edge", least_edge, "an axis is halved while this many voxels are left", at_least(1));
  }
};

/// Stages of a U-Net for a patch: what the networks hosted by nnU-Net take as features, kernels and strides.
struct StagePlan {
  std::vector<int64_t> features;
  std::vector<std::vector<int64_t>> kernels,
      strides;  ///< one list an axis order as the patch, for each stage
};

struct PlannedExperiment {
  std::vector<double> spacing_mm;    ///< the grid that all cases are brought to
  std::vector<int64_t> median_size;  ///< of the cases on that grid
  std::vector<int64_t> patch;
  int64_t batch = 0;
  StagePlan stages;
  double step_gib = 0;  ///< estimated memory of one training step
};

/// Stages for `patch` at `spacing_mm`, and the patch enlarged so that every stride divides it. An axis is
/// halved while the rest is at least twice least_edge and its spacing is less than twice the finest; a kernel
/// is 3 wide along an axis from the stage on where its spacing is less than twice the finest, else 1.
StagePlan plan_stages(std::vector<int64_t>& patch, std::vector<double> spacing_mm,
                      const PlannerSettings& settings);

/// Bytes of one training step of a plain U-Net with two convolutions a stage: activations and their
/// gradients, weights with gradient and momentum.
double training_bytes(const StagePlan& stages, const std::vector<int64_t>& patch, int64_t batch,
                      int64_t channels, int64_t classes);

/// The rules of nnU-Net (Isensee et al. 2021) with a stated memory budget in place of a GPU: the median
/// spacing (the 10 % point along an axis more than three times as coarse as the others and three times
/// shorter), a patch of equal edges in mm inside the median size, reduced along the relatively largest axis
/// until a step fits, and then as many patches a batch as fit, at most 5 % of all voxels. Throws Error when
/// even the smallest patch does not fit.
PlannedExperiment plan_experiment(const Fingerprint& fingerprint, int64_t classes,
                                  const PlannerSettings& settings);

}  // namespace mambaseg
