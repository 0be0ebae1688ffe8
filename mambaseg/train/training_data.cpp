#include "mambaseg/train/training_data.h"

#include <torch/types.h>

#include "mambaseg/core/ignored_class.h"
#include "mambaseg/train/data_checks.h"

namespace mambaseg {
namespace {

void check_channels(const PreparedCase& one, const Task& task, int64_t expected) {
  const int64_t given = one.image_CIJK.size(0), seen = task.network_channels(given);
  require(seen == expected, "case ", one.id, " has ", given,
          seen == given ? " channels" : concat(" channels, which are ", seen, " in slices"),
          ", but network.in_channels is ", expected);
}

/// Adds the voxels of background and of each structure.
void count_classes(const PreparedCase& one, const LearnedLabels& labels, std::vector<double>& class_voxels) {
  const auto counts = torch::bincount(one.classes_IJK.flatten(), {}, kIgnoredClass + 1);
  class_voxels[0] += counts[0].item<double>();
  for (size_t s = 0; s < labels.classes_of.size(); ++s)
    for (const int64_t k : labels.classes_of[s]) class_voxels[s + 1] += counts[k].item<double>();
}

bool holds_any_structure(const PreparedCase& one) {
  return (one.classes_IJK.ne(0) & one.classes_IJK.ne(kIgnoredClass)).any().item<bool>();
}

}  // namespace

TrainingData training_data(const TrainOptions& options, const Task& task, RunFolder& folder) {
  const RunSettings& settings = options.settings;
  const LearnedLabels labels = task.labels();
  const Split split = folder.split_of(read_dataset(settings.data.dataset));
  const std::string cache = settings.data.cache.empty() ? folder.cache() : settings.data.cache;
  std::vector<Case> all = split.train;
  all.insert(all.end(), split.validation.begin(), split.validation.end());
  const auto [first, last] = options.world->share(static_cast<int64_t>(all.size()));
  prepare_cases({all.begin() + first, all.begin() + last}, task.preparation(), cache, options.threads,
                options.progress, options.warn);
  options.world->said("");  // the parts of all ranks are there

  RunCases seen;
  const auto load = [&](const Case& one, std::vector<CaseNotes>& notes) {
    PreparedCase prepared = load_prepared(cache, one.id);
    check_channels(prepared, task, settings.network.at("in_channels").get<int64_t>());
    folder.note_content(prepared);
    notes.push_back({one.id, prepared.content, prepared.unnamed_labels});
    return prepared;
  };
  TrainingData data;
  data.class_voxels.assign(labels.structures.size() + 1, 0);
  for (const Case& one : split.train) {
    const PreparedCase prepared = load(one, seen.training);
    count_classes(prepared, labels, data.class_voxels);
    data.samplers.push_back(task.sampler(prepared));
  }
  seen.validation_holds_any = split.validation.empty();
  for (const Case& one : split.validation) {
    data.validation.push_back(load(one, seen.validation));
    task.check_validation(data.validation.back());
    seen.validation_holds_any = seen.validation_holds_any || holds_any_structure(data.validation.back());
  }
  seen.structures = labels.structures;
  seen.training_voxels = data.class_voxels;
  check_run_cases(seen, options.warn);
  folder.begin(split);
  return data;
}

}  // namespace mambaseg
