#include <malloc.h>

#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>

#include <torch/utils.h>

#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/recipe_arguments.h"
#include "cli/shard_arguments.h"
#include "cli/terminal.h"
#include "mambaseg/data/case_cache.h"
#include "mambaseg/infer/cause_of_failure.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/case_failures.h"
#include "mambaseg/io/cohort.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/train/run.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Options {
  RecipeArguments recipe;
  std::string cache;
  ShardArguments shard;
  Machine machine;
};

/// Prepares what no other worker has, one case after the other.
int64_t prepare_as_worker(const Shard& shard, const std::vector<Case>& cases, const Preparation& preparation,
                          const std::string& folder) {
  make_folder(folder);
  std::vector<CohortCase> files;
  for (const Case& one : cases)
    files.push_back({one.id, (fs::path(folder) / (one.id + ".safetensors")).string()});
  Cohort cohort(shard, folder, files, warnings_to_stderr());
  const Progress progress = progress_bar();
  CaseFailures failures(cause_of_failure);
  int64_t seen = 0, now = 0;
  for (const size_t number : cohort.order()) {
    const Case& one = cases[number];
    if (const auto claim = cohort.claim(number, [&] { return is_prepared(one, preparation, folder); }))
      now += failures.guard(
          one.id, one.images.front(), [&] { prepare_case(one, preparation, folder, warnings_to_stderr()); },
          claim.get());
    progress("preparing cases", ++seen, static_cast<int64_t>(cases.size()));
  }
  failures.raise(cases.size(), warnings_to_stderr());
  return now;
}

/// What a case frees stays with the process: the next one needs as much, and new pages, which the system
/// clears first, took a quarter of the time.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_ARENA_MAX, 1);  // those of single threads hold no large blocks
#endif
}

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
  keep_freed_memory();
  const Preparation preparation = settings.task->preparation();
  const auto shard = options.shard.read();
  const int64_t now = shard ? prepare_as_worker(*shard, cases, preparation, options.cache)
                            : prepare_cases(cases, preparation, options.cache, torch::get_num_threads(),
                                            progress_bar(), warnings_to_stderr());
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
  options->shard.declare(command);
  options->machine.declare(command);
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
