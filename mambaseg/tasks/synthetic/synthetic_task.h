#pragma once

#include "mambaseg/tasks/synthetic/synthesis_settings.h"
#include "mambaseg/tasks/volumes/volumes_task.h"

namespace mambaseg {

/// Heads whose images are drawn from label maps while a network is trained. Cases with a scan of their own
/// (layout label_maps) train and validate as volumes do. What comes out is a model of volumes.
struct SyntheticTask final : VolumesTask {
  SynthesisSettings synthesis;

  std::unique_ptr<Task> clone() const override { return std::make_unique<SyntheticTask>(*this); }
  const char* name() const override { return "synthetic"; }
  void describe(SettingsVisitor& visit) override {
    VolumesTask::describe(visit);
    visit("synthesis", synthesis, "how images are drawn from label maps (docs/synthesis.md)");
  }
  bool channels_are_of_data() const override { return false; }
  Json network() const override;
  Preparation preparation() const override;
  std::unique_ptr<SampleSource> sampler(const PreparedCase& one) const override;
  void check_validation(const PreparedCase& one) const override;
  PlanAnswer plan_experiment(const PlanRequest& request) const override;
};

}  // namespace mambaseg
