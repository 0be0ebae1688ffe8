#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <torch/utils.h>

#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/recipe_arguments.h"
#include "cli/terminal.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/train/run.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Options {
  RecipeArguments recipe;
  std::string folder;
  double memory_gib = 8;
  Machine machine;
};

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
  settings.task->take_labels(settings.data.dataset);
  options.machine.start();
  const auto cases = read_dataset(settings.data.dataset);
  PlanAnswer answer = settings.task->plan_experiment(
      {cases, settings.network, options.memory_gib, torch::get_num_threads(), progress_bar()});
  try {
    const SplitSettings split = with_split_of_dataset(settings.data.split, settings.data.dataset);
    if (std::string unused = unlisted_cases(split_cases(cases, split), split); !unused.empty())
      answer.warnings.push_back(std::move(unused));
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    answer.problems.push_back(error.what());
  }
  for (const std::string& warning : answer.warnings) warnings_to_stderr()(warning);
  tell(answer.problems, settings.data.dataset.folder, cases.size());
  if (!answer.files.empty()) make_folder(options.folder);
  for (const auto& [name, json] : answer.files) {
    const std::string path = (fs::path(options.folder) / name).string();
    write_file_atomically(path, json.dump(2) + "\n");
    answer.lines.push_back(path);
  }
  for (const std::string& line : answer.lines) std::printf("%s\n", line.c_str());
}

}  // namespace

void declare_plan(CLI::App& command) {
  auto options = std::make_shared<Options>();
  options->recipe.declare(command, "its data, classes and network are planned for")->required();
  command.add_option("-o,--output", options->folder, "Folder for fingerprint.json and plan.json")->required();
  command.add_option("--memory", options->memory_gib, "GiB that one training step may take")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  options->machine.declare(command);
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
