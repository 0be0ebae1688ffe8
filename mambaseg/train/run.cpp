#include "mambaseg/train/run.h"

#include "mambaseg/data/declared_labels.h"
#include "mambaseg/losses/loss.h"
#include "mambaseg/nets/network.h"
#include "mambaseg/train/task.h"

namespace mambaseg {

Task task_of(const RunSettings& settings) {
  return settings.task == "pictures" ? pictures_task(settings) : volumes_task(settings);
}

LossData loss_data(const Task& task, std::vector<double> class_voxels) {
  LossData data;
  data.class_voxels = std::move(class_voxels);
  if (task.regions) data.regions = task.classes_of;
  data.ignores = task.ignores;
  return data;
}

RunSettings resolved(RunSettings settings) {
  if (!settings.network.is_object() || !settings.network.contains("name") ||
      !settings.network["name"].is_string())
    throw UsageError("setting network.name: expected the name of a network");
  if (settings.task == "volumes") take_declared_labels(settings.plan, settings.data.dataset);
  const Task task = task_of(settings);
  require_loss_for(settings.loss, loss_data(task));
  const Json& decided = task.network;
  const NetworkEntry& entry = find_network(settings.network["name"].get<std::string>());
  Json network = entry.settings();
  network["name"] = entry.name;
  network.update(decided);
  network.merge_patch(settings.network);
  for (const auto& [key, value] : decided.items())
    if (network[key] != value)
      throw UsageError(concat("setting network.", key, ": got ", network[key].dump(),
                              ", but [plan] makes it ", value.dump()));
  settings.network = network;
  // A picture alone would be a small step; the batch is what its recipe names.
  if (settings.task == "pictures" && settings.training.patches_per_step == 0)
    settings.training.patches_per_step = settings.training.batch;
  settings.loss = complete_loss_settings(settings.loss);
  return settings;
}

}  // namespace mambaseg
