#include "mambaseg/train/run.h"

#include <algorithm>
#include <filesystem>

#include "mambaseg/data/declared_labels.h"
#include "mambaseg/losses/loss.h"
#include "mambaseg/nets/model/network.h"
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

LossData loss_data(const Task& task, std::vector<double> class_voxels) {
  LossData data;
  data.class_voxels = std::move(class_voxels);
  if (task.regions) data.regions = task.classes_of;
  data.ignores = task.ignores;
  return data;
}

namespace {

/// Every key of a recipe, for volumes and for pictures; of what decides itself what it holds, as [network],
/// the name of the table.
std::vector<std::string> recipe_keys() {
  std::vector<std::string> keys;
  for (const char* task : {"volumes", "pictures"}) {
    RunSettings settings;
    settings.task = task;
    config_detail::Documenter documenter("");
    settings.describe(documenter);
    for (const SettingDocumentation& line : documenter.lines) keys.push_back(line.path);
  }
  return keys;
}

/// `settings` with what they leave out taken from `defaults`.
Json laid_over(Json defaults, const Json& settings) {
  defaults.merge_patch(settings);
  return defaults;
}

bool is_within(const std::string& key, const std::string& table) {
  return key == table || key.starts_with(table + ".");
}

}  // namespace

void set_in_recipe(Recipe& recipe, const std::vector<std::string>& assignments) {
  static const std::vector<std::string> keys = recipe_keys();
  Json settings = Json::object();
  for (const std::string& assignment : assignments) {
    const std::string key = assignment.substr(0, assignment.find('='));
    const bool known = std::any_of(keys.begin(), keys.end(), [&](const std::string& one) {
      return is_within(one, key) || is_within(key, one);
    });
    if (!known && key.size() < assignment.size()) {
      std::string near = nearest_word(key, keys.data(), keys.data() + keys.size());
      const std::string last = "." + key.substr(key.rfind('.') + 1);
      for (const std::string& one : keys)  // data.folder is meant as data.dataset.folder
        if (one.ends_with(last) && (near.empty() || one.starts_with(key.substr(0, key.find('.')))))
          near = one;
      throw UsageError(concat("--set: unknown key `", key, "`",
                              near.empty() ? "; mambaseg recipe " + recipe.name + " shows the keys"
                                           : ", did you mean `" + near + "`?"));
    }
    set_by_path(settings, assignment);
  }
  if (!settings.empty()) recipe.layers.push_back({"--set", std::move(settings)});
}

RunSettings run_settings(const Recipe& recipe) {
  const Json all = recipe.settings();
  Recipe so_far;
  for (const Recipe::Layer& layer : recipe.layers) {  // one by one, so that errors name the layer
    so_far.layers.push_back(layer);
    Json settings = so_far.settings();
    if (all.contains("task")) settings["task"] = all["task"];
    with_context(layer.source, [&] { from_json<RunSettings>(settings); });
  }
  return from_json<RunSettings>(all);
}

RunSettings resolved(RunSettings settings, const ResolutionStep& tell) {
  const auto filled = [&](const std::string& source) {
    if (tell) tell(settings, source);
  };
  if (!settings.network.is_object() || !settings.network.contains("name") ||
      !settings.network["name"].is_string())
    throw UsageError("setting network.name: expected the name of a network");
  filled("default");
  settings.data.split = with_split_of_dataset(settings.data.split, settings.data.dataset);
  const auto of_dataset = [&](const char* file) {
    return (std::filesystem::path(settings.data.dataset.folder) / file).string();
  };
  filled(of_dataset("splits_final.json"));
  if (settings.task == "volumes") take_declared_labels(settings.plan, settings.data.dataset);
  filled(of_dataset("dataset.json"));
  take_channels(settings);
  filled("images");
  const Task task = task_of(settings);
  require_loss_for(settings.loss, loss_data(task));
  const NetworkEntry& entry = find_network(settings.network["name"].get<std::string>());
  settings.network = laid_over(task.network, settings.network);
  filled("[plan]");
  for (const auto& [key, value] : task.network.items())
    if (settings.network[key] != value)
      throw UsageError(concat("setting network.", key, ": got ", settings.network[key].dump(),
                              ", but [plan] makes it ", value.dump()));
  settings.network = laid_over(entry.settings(), settings.network);
  filled("paper");
  // A picture alone would be a small step; the batch is what its recipe names.
  if (settings.task == "pictures" && settings.training.patches_per_step == 0)
    settings.training.patches_per_step = settings.training.batch;
  filled("batch");
  settings.loss = complete_loss_settings(settings.loss);
  filled("default");
  return settings;
}

}  // namespace mambaseg
