#include "mambaseg/tasks/volumes/volumes_task.h"

#include <algorithm>

#include "mambaseg/data/declared_labels.h"
#include "mambaseg/data/label_scheme.h"
#include "mambaseg/data/planes.h"
#include "mambaseg/data/preprocess.h"
#include "mambaseg/tasks/volumes/planned_recipe.h"
#include "mambaseg/tasks/volumes/predict_volumes.h"
#include "mambaseg/tasks/volumes/side_by_side.h"
#include "mambaseg/tasks/volumes/slice_by_slice.h"
#include "mambaseg/tasks/volumes/training_slices.h"
#include "mambaseg/tasks/volumes/volume_case.h"

namespace mambaseg {
namespace {

template <class Values>
std::string times(const Values& values) {
  std::string out;
  for (const auto& value : values) out += concat(out.empty() ? "" : " x ", value);
  return out;
}

/// Structures of one class of the network as one, which is scored as such.
LearnedLabels merged_labels(const LearnedLabels& labels, const std::vector<int64_t>& merged) {
  LearnedLabels out = labels;
  const auto count = static_cast<size_t>(*std::max_element(merged.begin(), merged.end()));
  out.structures.assign(count, "");
  out.classes_of.assign(count, {});
  for (size_t s = 0; s < labels.structures.size(); ++s) {
    const auto to = static_cast<size_t>(merged[s + 1]) - 1;
    out.structures[to] += (out.structures[to].empty() ? "" : " and ") + labels.structures[s];
    out.classes_of[to].insert(out.classes_of[to].end(), labels.classes_of[s].begin(),
                              labels.classes_of[s].end());
  }
  return out;
}

}  // namespace

void VolumesTask::check() const {
  if (plan.classes.empty()) throw UsageError("setting plan.classes: expected at least one class");
  check_plan(plan);
}

void VolumesTask::take_labels(const DatasetSettings& dataset) { take_declared_labels(plan, dataset); }

LearnedLabels VolumesTask::labels() const {
  const LabelScheme scheme(plan);
  LearnedLabels labels{{}, scheme.structures(), scheme.regions(), scheme.ignores()};
  for (const LabelClass& one : plan.classes) labels.structures.push_back(one.name);
  const std::vector<int64_t> merged = merged_classes(plan);
  return merged.empty() ? labels : merged_labels(labels, merged);
}

Json VolumesTask::network() const {
  const std::vector<int64_t> merged = merged_classes(plan);
  return {{"classes", merged.empty() ? LabelScheme(plan).score_maps()
                                     : 1 + *std::max_element(merged.begin(), merged.end())}};
}

Preparation VolumesTask::preparation() const { return volume_preparation(plan); }

std::unique_ptr<SampleSource> VolumesTask::sampler(const PreparedCase& one) const {
  if (plan.in_slices()) return std::make_unique<SliceSampler>(one, sampling, augment, plan);
  return std::make_unique<PatchSampler>(one, sampling, augment, plan);
}

torch::Tensor VolumesTask::predict(Network& network, const PreparedCase& one, torch::Device device) const {
  if (plan.in_slices()) return predict_slices(network, one, plan, device);
  return predict_side_by_side(network, one, {plan.patch[0], plan.patch[1], plan.patch[2]}, device,
                              LabelScheme(plan));
}

PlanAnswer VolumesTask::plan_experiment(const PlanRequest& request) const {
  check_plan(plan);
  Inspection found = inspect_cases(request.cases, plan, request.workers, request.progress);
  PlanAnswer answer{std::move(found.problems), std::move(found.warnings), {}, {}};
  if (!answer.problems.empty()) return answer;
  if (plan.in_slices()) {
    answer.files = {{"fingerprint.json", to_json(found.fingerprint)}};
    answer.lines = {concat(request.cases.size(), " cases can be trained with; slices of ", times(plan.patch),
                           " need no plan, train takes the recipe")};
    return answer;
  }
  PlannerSettings planner;
  planner.memory_gib = request.memory_gib;
  const Fingerprint& fingerprint = found.fingerprint;
  const int64_t classes = std::max<int64_t>(1, LabelScheme(plan).score_maps());
  const PlannedExperiment planned = mambaseg::plan_experiment(fingerprint, classes, planner);
  answer.files = {{"fingerprint.json", to_json(fingerprint)},
                  {"plan.json", planned_recipe(request.network, plan, planned, fingerprint)}};
  answer.lines = {concat(request.cases.size(), " cases, ", fingerprint.channels.size(), " channels, median ",
                         times(planned.median_size), " voxels at ", times(planned.spacing_mm), " mm"),
                  concat("plain U-Net: patch ", times(planned.patch), ", batch ", planned.batch, ", ",
                         planned.stages.features.size(), " stages, about ",
                         std::round(10 * planned.step_gib) / 10, " GiB a training step")};
  return answer;
}

void VolumesTask::predict_files(const PredictRequest& request, const Listeners& listeners) const {
  predict_volumes(request, listeners);
}

}  // namespace mambaseg
