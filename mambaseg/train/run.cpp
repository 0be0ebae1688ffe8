#include "mambaseg/train/run.h"

#include <filesystem>

#include "mambaseg/losses/loss.h"
#include "mambaseg/nets/network.h"
#include "mambaseg/train/task.h"

namespace mambaseg {

namespace {

/// Volumes have as many channels as their data, unless the recipe says so.
void take_channels(RunSettings& settings) {
  const DatasetSettings& dataset = settings.data.dataset;
  if (settings.task != "volumes" || settings.network.contains("in_channels") ||
      !std::filesystem::is_directory(dataset.folder))
    return;  // a folder that is not there is told by who reads the cases
  settings.network["in_channels"] = channels_of(read_dataset(dataset).front());
}

}  // namespace

Task task_of(const RunSettings& settings) {
  return settings.task == "pictures" ? pictures_task(settings) : volumes_task(settings);
}

RunSettings resolved(RunSettings settings) {
  if (!settings.network.is_object() || !settings.network.contains("name") ||
      !settings.network["name"].is_string())
    throw UsageError("setting network.name: expected the name of a network");
  settings.data.split = with_split_of_dataset(settings.data.split, settings.data.dataset);
  take_channels(settings);
  const Json decided = task_of(settings).network;
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
