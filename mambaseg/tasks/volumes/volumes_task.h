#pragma once

#include "mambaseg/data/plan.h"
#include "mambaseg/tasks/task.h"
#include "mambaseg/tasks/volumes/augment.h"
#include "mambaseg/tasks/volumes/training_patches.h"

namespace mambaseg {

/// 3-D images, in patches or in slices of a plane with their neighbours.
struct VolumesTask : Task {
  Plan plan;
  SamplingSettings sampling;
  AugmentSettings augment;

  std::unique_ptr<Task> clone() const override { return std::make_unique<VolumesTask>(*this); }
  const char* name() const override { return "volumes"; }
  const char* samples() const override { return plan.in_slices() ? "slices" : "patches"; }
  void describe(SettingsVisitor& visit) override {
    visit("plan", plan, "preprocessing, patches and labels");
    visit("sampling", sampling, "patches");
    visit("augment", augment, "random changes of patches");
  }
  void check() const override;
  void take_labels(const DatasetSettings& dataset) override;
  Json plan_json() const override { return to_json(plan); }
  void set_plan(const Json& json) override { plan = from_json<Plan>(json, "plan"); }
  LearnedLabels labels() const override;
  Json network() const override;
  bool channels_are_of_data() const override { return true; }
  int64_t network_channels(int64_t of_image) const override {
    return plan.in_slices() ? of_image * plan.slices : of_image;
  }
  std::vector<int64_t> input_edges() const override { return plan.patch; }
  const char* input_edges_setting() const override { return "plan.patch"; }
  int64_t samples_per_step(int64_t) const override { return 0; }
  Preparation preparation() const override;
  std::unique_ptr<SampleSource> sampler(const PreparedCase& one) const override;
  torch::Tensor predict(Network& network, const PreparedCase& one, torch::Device device) const override;
  PlanAnswer plan_experiment(const PlanRequest& request) const override;
  const char* label_ending() const override { return ".nii.gz"; }
  void predict_files(const PredictRequest& request, const Listeners& listeners) const override;
};

}  // namespace mambaseg
