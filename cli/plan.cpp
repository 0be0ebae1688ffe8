#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "mambaseg/data/declared_labels.h"
#include "mambaseg/data/label_scheme.h"
#include "mambaseg/data/planner.h"
#include "mambaseg/data/preprocess.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/train/planned_recipe.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string recipe, folder;
  std::vector<std::string> assignments;
  PlannerSettings planner;
  Machine machine;
};

template <class Values>
std::string times(const Values& values) {
  std::string out;
  for (const auto& value : values) out += concat(out.empty() ? "" : " x ", value);
  return out;
}

void run(const Options& options) {
  Json recipe = read_toml(options.recipe);
  for (const std::string& assignment : options.assignments) set_in_recipe(recipe, assignment);
  auto settings = with_context(options.recipe, [&] { return from_json<RunSettings>(recipe); });
  take_declared_labels(settings.plan, settings.data.dataset);
  check_plan(settings.plan);
  options.machine.start();
  const auto cases = read_dataset(settings.data.dataset);
  Inspection found = inspect_cases(cases, settings.plan, torch::get_num_threads(), progress_bar());
  try {
    split_cases(cases, settings.data.split);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    found.problems.push_back(error.what());
  }
  for (const std::string& problem : found.problems)
    std::fprintf(stderr, "mambaseg: problem: %s\n", problem.c_str());
  require(found.problems.empty(), settings.data.dataset.folder, ": ", found.problems.size(), " problems in ",
          cases.size(), " cases; nothing was planned");
  const int64_t classes = std::max<int64_t>(1, LabelScheme(settings.plan).score_maps());
  const PlannedExperiment planned = plan_experiment(found.fingerprint, classes, options.planner);
  make_folder(options.folder);
  const auto write = [&](const char* name, const Json& json) {
    write_file_atomically((fs::path(options.folder) / name).string(), json.dump(2) + "\n");
  };
  write("fingerprint.json", to_json(found.fingerprint));
  write("plan.json", planned_recipe(settings, planned, found.fingerprint));
  std::printf("%zu cases, %zu channels, median %s voxels at %s mm\n", cases.size(),
              found.fingerprint.channels.size(), times(planned.median_size).c_str(),
              times(planned.spacing_mm).c_str());
  std::printf("plain U-Net: patch %s, batch %lld, %zu stages, about %.1f GiB a training step\n",
              times(planned.patch).c_str(), (long long)planned.batch, planned.stages.features.size(),
              planned.step_gib);
  std::printf("%s\n", (fs::path(options.folder) / "plan.json").c_str());
}

}  // namespace

void declare_plan(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("recipe", options->recipe, "Recipe whose data, classes and network are planned for")
      ->required();
  command.add_option("-o,--output", options->folder, "Folder for fingerprint.json and plan.json")->required();
  declare_assignments(command, options->assignments, "Change a setting of the recipe");
  command.add_option("--memory", options->planner.memory_gib, "GiB that one training step may take")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  options->machine.declare(command);
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
