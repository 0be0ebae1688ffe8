#pragma once

#include "mambaseg/tasks/pictures/picture_augment.h"
#include "mambaseg/tasks/pictures/picture_plan.h"
#include "mambaseg/tasks/task.h"

namespace mambaseg {

/// 2-D pictures (PNG, JPEG, BMP) and their masks.
struct PicturesTask final : Task {
  PicturePlan plan;
  PictureAugmentSettings augment;

  std::unique_ptr<Task> clone() const override { return std::make_unique<PicturesTask>(*this); }
  const char* name() const override { return "pictures"; }
  const char* samples() const override { return "pictures"; }
  void describe(SettingsVisitor& visit) override {
    visit("plan", plan, "what happens to pictures and masks");
    visit("augment", augment, "random changes of pictures");
  }
  void check() const override;
  void take_labels(const DatasetSettings& dataset) override;
  Json plan_json() const override { return to_json(plan); }
  void set_plan(const Json& json) override { plan = from_json<PicturePlan>(json, "plan"); }
  LearnedLabels labels() const override;
  Json network() const override;
  bool channels_are_of_data() const override { return false; }
  std::vector<int64_t> input_edges() const override { return plan.size; }
  const char* input_edges_setting() const override { return "plan.size"; }
  /// A picture alone would be a small step; the batch is what its recipe names.
  int64_t samples_per_step(int64_t batch) const override { return batch; }
  Preparation preparation() const override;
  std::unique_ptr<SampleSource> sampler(const PreparedCase& one) const override;
  torch::Tensor predict(Network& network, const PreparedCase& one, torch::Device device) const override;
  PlanAnswer plan_experiment(const PlanRequest& request) const override;
  const char* label_ending() const override { return ".png"; }
  void predict_files(const PredictRequest& request, const Listeners& listeners) const override;
};

}  // namespace mambaseg
