#include "mambaseg/tasks/synthetic/synthetic_task.h"

#include "mambaseg/core/error.h"
#include "mambaseg/tasks/synthetic/label_map_case.h"
#include "mambaseg/tasks/volumes/volume_case.h"

namespace mambaseg {

Json SyntheticTask::network() const {
  Json network = VolumesTask::network();
  network["in_channels"] = 1;
  return network;
}

Preparation SyntheticTask::preparation() const {
  const Preparation scans = volume_preparation(plan), maps = label_map_preparation(plan);
  return {
      scans.hash + maps.hash,
      [=](const Case& one, const Warn& warn) {
        return one.images.empty() ? maps.prepare(one, warn) : scans.prepare(one, warn);
      },
      scans.bytes ? [=](const Case& one) { return one.images.empty() ? 0 : scans.bytes(one); } : scans.bytes};
}

std::unique_ptr<SampleSource> SyntheticTask::sampler(const PreparedCase& one) const {
  if (one.label_map) return std::make_unique<SyntheticSampler>(one, synthesis, plan);
  return VolumesTask::sampler(one);
}

void SyntheticTask::check_validation(const PreparedCase& one) const {
  if (one.label_map)
    throw UsageError(concat("case ", one.id, " cannot validate: it is a label map without a scan"));
}

PlanAnswer SyntheticTask::plan_experiment(const PlanRequest& request) const {
  PlanAnswer answer;
  const Preparation looks = preparation();
  int64_t seen = 0;
  const auto total = static_cast<int64_t>(request.cases.size());
  for (const Case& one : request.cases) {
    try {
      looks.prepare(one, nullptr);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      answer.problems.emplace_back(error.what());
    }
    if (request.progress) request.progress("reading label maps", ++seen, total);
  }
  answer.lines = {concat(total, " cases can be read; label maps need no plan, train takes the recipe")};
  return answer;
}

}  // namespace mambaseg
