#include "mambaseg/train/study.h"

#include <cstdio>
#include <filesystem>
#include <memory>

#include <torch/utils.h>

#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/terminal.h"
#include "mambaseg/core/text.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string table, recipe, folder;
  std::vector<std::string> networks, assignments;
  StudyBudget budget;
  Machine machine;
};

StudySettings settings_of(const Options& options) {
  StudySettings settings;
  if (!options.table.empty()) settings = read_study(options.table);
  if (!options.recipe.empty()) settings.recipe = options.recipe;
  if (settings.recipe.empty())
    throw UsageError("expected a table (a .toml file that names a recipe), or --recipe and --network");
  settings.networks.insert(settings.networks.end(), options.networks.begin(), options.networks.end());
  if (options.budget.epochs > 0) settings.budget.epochs = options.budget.epochs;
  if (options.budget.seconds > 0) settings.budget.seconds = options.budget.seconds;
  return settings;
}

std::string command_line(const Options& options) {
  std::string line = "mambaseg study";
  if (!options.table.empty()) line += " " + options.table;
  if (!options.recipe.empty()) line += " --recipe " + options.recipe;
  for (const std::string& name : options.networks) line += " --network " + name;
  if (options.budget.epochs > 0) line += concat(" --epochs ", options.budget.epochs);
  if (options.budget.seconds > 0) line += concat(" --seconds ", options.budget.seconds);
  for (const std::string& one : options.assignments) line += " --set '" + one + "'";
  return line + " -o " + options.folder;
}

void run(const Options& options) {
  StudyOptions study;
  study.settings = settings_of(options);
  // A recipe in the table lies beside it, one on the command line where the command is typed.
  study.recipe = recipe_of(study.settings, options.recipe.empty() ? options.table : "");
  set_in_recipe(study.recipe, options.assignments);
  study.folder = options.folder;
  study.command = command_line(options);
  study.train.device = options.machine.start();
  study.train.threads = torch::get_num_threads();
  study.train.version = MAMBASEG_VERSION;
  study.train.progress = progress_bar();
  study.train.warn = warnings_to_stderr();
  const std::vector<StudyRow> rows = run_study(study);
  std::printf("%spage: %s\n", study_table(rows, study.settings.metrics).c_str(),
              (fs::path(options.folder) / "report.html").c_str());
  std::string failed;
  for (const StudyRow& row : rows)
    if (!row.problem.empty()) failed += (failed.empty() ? "" : ", ") + row.name;
  require(failed.empty(), "not every row was finished: ", failed,
          " (the page says why; the same call tries again)");
}

}  // namespace

void declare_study(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("table", options->table,
                     "TOML file that names a recipe, networks or variants, a budget (see recipes/studies)");
  command.add_option("--recipe", options->recipe, "The recipe that all start from: a file or a name");
  command
      .add_option("--network", options->networks,
                  "A network that is trained with the settings that it has by itself; once for each")
      ->allow_extra_args(false);
  command.add_option("--epochs", options->budget.epochs, "Epochs of each training; 0: as the recipe says")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--seconds", options->budget.seconds,
                  "Seconds of each training: a trial finds how many epochs they are; 0: any time")
      ->check(CLI::NonNegativeNumber);
  command.add_option("-o,--output", options->folder, "Folder of all runs; what is there is not repeated")
      ->required();
  declare_assignments(command, options->assignments, "Change a setting of the recipe for all");
  options->machine.declare(command);
  command.footer(
      "Examples:\n"
      "  mambaseg study --recipe unet_kvasir_small --network unet --network vm_unet --seconds 3600 \\\n"
      "      --set data.dataset.folder=Kvasir-SEG -o polyps\n"
      "  mambaseg study recipes/studies/lbmnet.toml --set data.dataset.folder=ATLAS_2/Training -o ablation\n"
      "Writes report.html: scores, speed, memory, tests with Holm's correction, curves, hardest cases.");
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
