#include "mambaseg/data/preprocess.h"
#include "mambaseg/data/volume_case.h"
#include "mambaseg/train/task.h"
#include "mambaseg/train/validation.h"

namespace mambaseg {

Task volumes_task(const RunSettings& settings) {
  if (settings.plan.classes.empty()) throw UsageError("setting plan.classes: expected at least one class");
  check_plan(settings.plan);
  const Plan& plan = settings.plan;
  const Index3 patch{plan.patch[0], plan.patch[1], plan.patch[2]};
  Task task;
  const LabelScheme scheme(plan);
  task.plan = to_json(plan);
  for (const LabelClass& one : plan.classes) task.structures.push_back(one.name);
  task.classes_of = scheme.structures();
  task.regions = scheme.regions();
  task.ignores = scheme.ignores();
  task.network = {{"classes", scheme.score_maps()}};
  task.input_edges = plan.patch;
  task.preparation = volume_preparation(plan);
  task.sampler = [settings](const PreparedCase& one) {
    return std::make_unique<PatchSampler>(one, settings.sampling, settings.augment, settings.plan);
  };
  task.predict = [patch, scheme](Network& network, const PreparedCase& one, torch::Device device) {
    return predict_side_by_side(network, one, patch, device, scheme);
  };
  return task;
}

}  // namespace mambaseg
