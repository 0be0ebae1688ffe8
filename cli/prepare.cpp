#include <cstdio>
#include <filesystem>
#include <memory>

#include <torch/utils.h>

#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/recipe_arguments.h"
#include "cli/terminal.h"
#include "mambaseg/data/case_cache.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/train/run.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Options {
  RecipeArguments recipe;
  std::string cache;
  Machine machine;
};

void run(const Options& options) {
  const Recipe recipe = options.recipe.read();
  const auto settings = with_context(recipe.name, [&] { return resolved(run_settings(recipe)); });
  options.machine.start();
  const auto cases = read_dataset(settings.data.dataset);
  std::vector<std::string> inputs;
  std::vector<Output> outputs;
  for (const Case& one : cases) {
    for (const std::string& image : one.images) inputs.push_back(fs::path(image).parent_path().string());
    inputs.push_back(fs::path(one.labels).parent_path().string());
    outputs.push_back({(fs::path(options.cache) / (one.id + ".safetensors")).string(), "case " + one.id});
  }
  check_outputs(inputs, outputs);
  const int64_t now = prepare_cases(cases, settings.task->preparation(), options.cache,
                                    torch::get_num_threads(), progress_bar(), warnings_to_stderr());
  std::printf("%lld cases in %s, %lld prepared now\n", (long long)cases.size(), options.cache.c_str(),
              (long long)now);
}

}  // namespace

void declare_prepare(CLI::App& command) {
  auto options = std::make_shared<Options>();
  options->recipe.declare(command, "its plan and data are used")->required();
  command
      .add_option("-o,--output", options->cache, "Folder of prepared cases; the recipe's data.cache names it")
      ->required();
  options->recipe.declare_plan(command);
  options->machine.declare(command);
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
