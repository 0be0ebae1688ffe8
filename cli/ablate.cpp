#include <cstdio>
#include <filesystem>
#include <memory>

#include <torch/utils.h>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/train/ablation.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string table, folder;
  std::vector<std::string> assignments;
  Machine machine;
};

void run(const Options& options) {
  AblationOptions ablation;
  ablation.settings =
      with_context(options.table, [&] { return from_json<AblationSettings>(read_toml(options.table)); });
  ablation.recipe = with_context(options.table, [&] {
    return read_recipe(ablation.settings.recipe, fs::path(options.table).parent_path().string());
  });
  set_in_recipe(ablation.recipe, options.assignments);
  ablation.folder = options.folder;
  ablation.train.device = options.machine.start();
  ablation.train.threads = torch::get_num_threads();
  ablation.train.version = MAMBASEG_VERSION;
  ablation.train.progress = progress_bar();
  ablation.train.warn = warnings_to_stderr();
  const auto rows = run_ablation(ablation);
  const auto& metrics = ablation.settings.metrics;
  write_file_atomically((fs::path(options.folder) / "ablation.json").string(),
                        ablation_json(rows, metrics).dump(2) + "\n");
  std::printf("%s", ablation_table(rows, metrics).c_str());
}

}  // namespace

void declare_ablate(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command
      .add_option("table", options->table, "TOML file that names a recipe and its variants (see recipes/)")
      ->required();
  command.add_option("-o,--output", options->folder, "Folder of all runs; what is there is not repeated")
      ->required();
  declare_assignments(command, options->assignments, "Change a setting of the recipe for all variants");
  options->machine.declare(command);
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
