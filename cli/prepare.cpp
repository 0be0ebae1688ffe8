#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "mambaseg/data/case_cache.h"
#include "mambaseg/train/task.h"

namespace mambaseg {
namespace {

struct Options {
  std::string recipe, plan, cache;
  std::vector<std::string> assignments;
  Machine machine;
};

void run(const Options& options) {
  Json recipe = read_toml(options.recipe);
  if (!options.plan.empty()) recipe.merge_patch(read_json(options.plan));
  for (const std::string& assignment : options.assignments) set_by_path(recipe, assignment);
  const auto settings =
      with_context(options.recipe, [&] { return resolved(from_json<RunSettings>(recipe)); });
  options.machine.start();
  const auto cases = read_dataset(settings.data.dataset);
  const int64_t now = prepare_cases(cases, task_of(settings).preparation, options.cache,
                                    torch::get_num_threads(), progress_bar(), warnings_to_stderr());
  std::printf("%lld cases in %s, %lld prepared now\n", (long long)cases.size(), options.cache.c_str(),
              (long long)now);
}

}  // namespace

void declare_prepare(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("recipe", options->recipe, "Recipe whose plan and data are used")->required();
  command
      .add_option("-o,--output", options->cache, "Folder of prepared cases; the recipe's data.cache names it")
      ->required();
  command.add_option("--plan", options->plan, "plan.json of `mambaseg plan`, over the recipe")
      ->check(CLI::ExistingFile);
  command.add_option("--set", options->assignments,
                     "Change a setting of the recipe, as data.dataset.folder=DIR");
  options->machine.declare(command);
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
