#include "mambaseg/train/run.h"

#include <algorithm>
#include <filesystem>

#include "mambaseg/losses/loss.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {

namespace {

/// Takes the channels of the data, unless the recipe names them.
void take_channels(RunSettings& settings) {
  const DatasetSettings& dataset = settings.data.dataset;
  if (!settings.task->channels_are_of_data() || settings.network.contains("in_channels") ||
      !std::filesystem::is_directory(dataset.folder))
    return;  // a folder that is not there is told by who reads the cases
  settings.network["in_channels"] =
      settings.task->network_channels(channels_of(read_dataset(dataset).front()));
}

/// Every key of a recipe, for every task; of what decides itself what it holds, as [network], the name of the
/// table.
std::vector<std::string> recipe_keys() {
  std::vector<std::string> keys;
  for (const TaskEntry& entry : tasks()) {
    RunSettings settings;
    settings.task = AnyTask(entry.name);
    for (const SettingDocumentation& line : documentation_of(settings)) keys.push_back(line.path);
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

void RunSettings::describe(SettingsVisitor& visit) {
  std::string name = task->name(), kinds;
  std::vector<std::string> names;
  for (const TaskEntry& entry : tasks()) {
    names.emplace_back(entry.name);
    kinds += concat(kinds.empty() ? "" : "; ", entry.name, ": ", entry.summary);
  }
  visit("task", name, kinds.c_str(), one_of(names));
  if (name != task->name()) task = AnyTask(name);
  visit("network", network, "name of the network and its settings (mambaseg networks NAME)");
  visit("data", data, "cases");
  task->describe(visit);
  visit("loss", loss, "name of the loss and its settings");
  visit("training", training, "optimiser and the length of the run");
  visit("schedule", schedule, "learning rate over time");
}

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
  settings.task->take_labels(settings.data.dataset);
  filled(of_dataset("dataset.json"));
  take_channels(settings);
  filled("images");
  const Task& task = *settings.task;
  task.check();
  require_loss_for(settings.loss, loss_data(task.labels()));
  const NetworkEntry& entry = find_network(settings.network["name"].get<std::string>());
  Json decided = task.network();
  const auto dims = static_cast<int>(task.input_edges().size());
  if (std::find(entry.dims.begin(), entry.dims.end(), dims) == entry.dims.end())
    throw UsageError(concat("network ", entry.name, " does not work in ", dims,
                            " dimensions, which the task ", task.name(), " has"));
  if (entry.settings().contains("dims")) decided["dims"] = dims;
  settings.network = laid_over(decided, settings.network);
  filled("[plan]");
  for (const auto& [key, value] : decided.items())
    if (settings.network[key] != value)
      throw UsageError(concat("setting network.", key, ": got ", settings.network[key].dump(),
                              ", but [plan] makes it ", value.dump()));
  settings.network = laid_over(entry.settings(), settings.network);
  Json single = settings.network;
  single.erase("name");
  with_context("[network]", [&] {
    require_twin(entry, single);
    try {
      entry.check(single);
    } catch (const UsageError& error) {
      if (decided.value("classes", 2) != 1) throw;
      throw UsageError(concat(error.what(), "; if it needs two maps of scores: plan.scores = \"softmax\""));
    }
  });
  filled("paper");
  if (settings.training.patches_per_step == 0)
    settings.training.patches_per_step = task.samples_per_step(settings.training.batch);
  filled("batch");
  settings.loss = complete_loss_settings(settings.loss);
  filled("default");
  return settings;
}

}  // namespace mambaseg
