#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/recipe_arguments.h"
#include "cli/terminal.h"
#include "mambaseg/data/declared_labels.h"
#include "mambaseg/data/label_scheme.h"
#include "mambaseg/data/picture_case.h"
#include "mambaseg/data/planner.h"
#include "mambaseg/data/preprocess.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/train/planned_recipe.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Options {
  RecipeArguments recipe;
  std::string folder;
  PlannerSettings planner;
  Machine machine;
};

template <class Values>
std::string times(const Values& values) {
  std::string out;
  for (const auto& value : values) out += concat(out.empty() ? "" : " x ", value);
  return out;
}

/// Prints problems, the first ten, and ends the command when there are any.
void tell(const std::vector<std::string>& problems, const std::string& folder, size_t cases) {
  constexpr size_t kShown = 10;
  for (size_t p = 0; p < std::min(kShown, problems.size()); ++p)
    std::fprintf(stderr, "mambaseg: problem: %s\n", problems[p].c_str());
  if (problems.size() > kShown)
    std::fprintf(stderr, "mambaseg: problem: and %zu more\n", problems.size() - kShown);
  require(problems.empty(), folder, ": ", problems.size(),
          problems.size() == 1 ? " problem in " : " problems in ", cases, " cases; nothing was planned");
}

void run(const Options& options) {
  auto settings = run_settings(options.recipe.read());
  take_declared_labels(settings.plan, settings.data.dataset);
  check_plan(settings.plan);
  options.machine.start();
  const auto cases = read_dataset(settings.data.dataset);
  if (settings.task == "pictures") {
    const auto problems = problems_of_pictures(cases, settings.pictures, progress_bar());
    tell(problems, settings.data.dataset.folder, cases.size());
    std::printf("%zu pictures and masks can be read; pictures need no plan, train takes the recipe\n",
                cases.size());
    return;
  }
  Inspection found = inspect_cases(cases, settings.plan, torch::get_num_threads(), progress_bar());
  try {
    const SplitSettings split = with_split_of_dataset(settings.data.split, settings.data.dataset);
    if (std::string unused = unlisted_cases(split_cases(cases, split), split); !unused.empty())
      found.warnings.push_back(std::move(unused));
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    found.problems.push_back(error.what());
  }
  for (const std::string& warning : found.warnings) warnings_to_stderr()(warning);
  tell(found.problems, settings.data.dataset.folder, cases.size());
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
  options->recipe.declare(command, "its data, classes and network are planned for")->required();
  command.add_option("-o,--output", options->folder, "Folder for fingerprint.json and plan.json")->required();
  command.add_option("--memory", options->planner.memory_gib, "GiB that one training step may take")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  options->machine.declare(command);
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
