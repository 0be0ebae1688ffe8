#include "mambaseg/train/run_folder.h"

#include <algorithm>
#include <filesystem>

#include "mambaseg/io/atomic_file.h"
#include "mambaseg/train/optimizer.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRunFiles[] = {"recipe.toml", "split.json", "journal.jsonl", "last.safetensors",
                                     "best.safetensors"};

/// Throws UsageError when a setting, or one of a section of settings, is not that of the run to be resumed.
void require_unchanged(const std::string& setting, const Json& now, const Json& of_the_run) {
  if (now.is_object()) {
    for (const auto& [key, value] : now.items())
      require_unchanged(setting + "." + key, value, of_the_run.at(key));
    return;
  }
  if (now != of_the_run)
    throw UsageError(concat("setting ", setting, ": got ", now.dump(), ", but the run to be resumed has ",
                            of_the_run.dump(), "; leave it, or start a new run in another folder"));
}

}  // namespace

RunFolder::RunFolder(const TrainOptions& options, Json plan)
    : options_(options), settings_(options.settings), plan_(std::move(plan)) {
  if (options_.world->leads()) {
    require(!options_.resume || holds_run(), options_.folder, ": no run to resume");
    make_folder(options_.folder);
    lock_.emplace(options_.folder);
    if (!options_.resume && holds_run())
      throw UsageError(options_.folder +
                       ": holds a run already; --resume continues it, or choose another folder");
  }
  options_.world->said("");  // the others come when the folder is taken
  if (options_.resume && fs::exists(path("recipe.toml"))) require_same_draws();
}

std::string RunFolder::path(const char* name) const { return (fs::path(options_.folder) / name).string(); }

bool RunFolder::holds_run() const {
  return std::any_of(std::begin(kRunFiles), std::end(kRunFiles),
                     [this](const char* name) { return fs::exists(path(name)); });
}

/// The data may have moved, or go by another name.
void RunFolder::require_same_draws() const {
  const RunSettings stored = with_context(
      path("recipe.toml"), [&] { return from_json<RunSettings>(read_toml(path("recipe.toml"))); });
  DatasetSettings dataset = stored.data.dataset;
  const std::string& folder = settings_.data.dataset.folder;
  std::error_code failed;
  const bool moved = !fs::exists(dataset.folder, failed) && fs::exists(folder, failed);
  if (moved && options_.warn)
    options_.warn(concat(dataset.folder, ", the data of the run, is not there; those of ", folder,
                         " are taken, which should be the same"));
  if (moved || fs::weakly_canonical(folder, failed) == fs::weakly_canonical(dataset.folder, failed))
    dataset.folder = folder;
  require_unchanged("data.dataset", to_json(settings_.data.dataset), to_json(dataset));
  require_unchanged("data.split", to_json(settings_.data.split), to_json(stored.data.split));
  require_unchanged("training.seed", settings_.training.seed, stored.training.seed);
}

bool RunFolder::goes_on() const { return options_.resume && fs::exists(last()); }

TrainingState RunFolder::last_state() const {
  TrainingState state;
  const Model model = load_last(options_.folder, options_.device, state.at);
  // Settings that a run of an older program does not hold stand at their defaults.
  Json plan = plan_, network = find_network(model.info.network["name"].get<std::string>()).settings();
  plan.update(model.info.plan);
  network.update(model.info.network);
  require(network == settings_.network && plan == plan_, options_.folder,
          ": the network or the plan of the recipe is not that of the run to be resumed");
  state.network = model.network;
  state.machine = model.info.history.value("machine", Json());
  state.optimizer = make_optimizer(settings_.training, *state.network);
  state.average = first_average(settings_.training.ema, settings_.network, *state.network, options_.device);
  load_moments(options_.folder, model, state);
  if (options_.world->leads())
    remove_moments(options_.folder,
                   model.info.history["moments"]);  // older ones, if it ended before it could
  return state;
}

Split RunFolder::split_of(const std::vector<Case>& cases) {
  const std::string file = path("split.json");
  dataset_cases_ = static_cast<int64_t>(cases.size());
  if (!options_.resume || !fs::exists(file)) {
    require(!goes_on(), file, " is missing; without it, no one knows which cases the run has trained on");
    Split split = split_cases(cases, settings_.data.split);
    if (const std::string unused = unlisted_cases(split, settings_.data.split);
        options_.warn && !unused.empty())
      options_.warn(unused);
    return split;
  }
  const SplitLists lists = read_split_file(file);
  const Json begun = read_json(file);
  begun_content_ = begun.value("digests", Json::object());
  SplitSettings stored;
  stored.group = settings_.data.split.group;
  stored.train = lists.train;
  stored.validation = lists.validation;
  stored.test = lists.test;
  const Split split = with_context(file + " of the run to be resumed, and " + settings_.data.dataset.folder,
                                   [&] { return split_cases(cases, stored); });
  const int64_t began_with = begun.value("cases", dataset_cases_);
  if (dataset_cases_ > began_with && options_.warn)
    options_.warn(concat(settings_.data.dataset.folder, ": ", dataset_cases_ - began_with,
                         " cases were added since the run began; it goes on without them"));
  dataset_cases_ = began_with;
  return split;
}

void RunFolder::note_content(const PreparedCase& one) {
  const std::string now = one.content + "-" + one.classes_content;
  // Runs of old versions noted none.
  require(begun_content_.value(one.id, now) == now, "case ", one.id, " of ", settings_.data.dataset.folder,
          ": its image or labels have changed since the run to be resumed began; bring them back, or start a "
          "new run in another folder");
  content_[one.id] = now;
}

void RunFolder::begin(const Split& split) const {
  if (!options_.world->leads()) return;
  Json json = split_json(split);
  json["cases"] = dataset_cases_;
  json["digests"] = content_;
  write_file_atomically(path("recipe.toml"), to_toml(to_json(settings_)));
  write_file_atomically(path("split.json"), json.dump(1) + "\n");
}

ModelInfo RunFolder::about(const TrainingState& state) const {
  ModelInfo info;
  info.network = settings_.network;
  info.plan = plan_;
  info.recipe = to_json(settings_);
  info.history = {{"version", options_.version},
                  {"seed", settings_.training.seed},
                  {"machine", state.machine},
                  {"epochs_trained", state.at.epoch},
                  {"best_validation_dice", state.at.best_dice}};
  return info;
}

void RunFolder::save_best(const TrainingState& state) const {
  if (options_.world->leads()) save_model(best(), state.judged(), about(state));
}

void RunFolder::save_last(const TrainingState& state) const {
  if (options_.world->leads()) save_training_state(options_.folder, state, about(state));
}

void RunFolder::remove(const std::string& folder) {
  if (!fs::is_directory(folder)) return;
  const FolderLock lock(folder);
  for (const char* name : kRunFiles) fs::remove(fs::path(folder) / name);
  fs::remove(fs::path(folder) / "curves.svg");
  remove_moments(folder, "");
}

}  // namespace mambaseg
