#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include <torch/utils.h>

#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/recipe_arguments.h"
#include "cli/terminal.h"
#include "mambaseg/core/text.h"
#include "mambaseg/train/launcher.h"
#include "mambaseg/train/trainer.h"

namespace mambaseg {
namespace {

struct Options {
  RecipeArguments recipe;
  std::string run, start;
  bool resume = false;
  int64_t seed = -1, fold = -1, repeat = -1;
  Machine machine;
  int64_t patience_s = 600;
};

std::string words_of(const Json& line, int64_t epochs, const char* samples) {
  char text[160];
  std::snprintf(text, sizeof text, "epoch %lld/%lld  loss %.4f  rate %.3g  %.2f %s/s  %s",
                (long long)line["epoch"].get<int64_t>() + 1, (long long)epochs, line["loss"].get<double>(),
                line["learning_rate"].get<double>(), line["patches_per_s"].get<double>(), samples,
                readable_duration(line["seconds"].get<double>()).c_str());
  std::string words = text;
  if (line.contains("validation")) {
    std::snprintf(text, sizeof text, "  validation Dice %.4f", line["validation"]["dice"].get<double>());
    words += text;
    if (line["best_epoch"] == line["epoch"]) words += " (best)";
  }
  return words;
}

/// The recipe that was named, or that of the run to be resumed.
Recipe recipe_of(const Options& options) {
  RecipeArguments arguments = options.recipe;
  if (arguments.recipe.empty()) {
    if (!options.resume)
      throw UsageError("expected a recipe, as `mambaseg train RECIPE -o RUN` (`--resume -o RUN` needs none)");
    arguments.recipe = (std::filesystem::path(options.run) / "recipe.toml").string();
    if (!std::filesystem::exists(arguments.recipe))
      throw UsageError(options.run + ": no run to resume (no recipe.toml)");
  }
  return arguments.read();
}

void run(const Options& options) {
  TrainOptions train_options;
  train_options.settings = run_settings(recipe_of(options));
  SplitSettings& split = train_options.settings.data.split;
  split = with_split_of_dataset(split, train_options.settings.data.dataset);
  if (options.fold >= 0) split.fold = options.fold;
  if (options.repeat >= 0) split.repeat = options.repeat;
  if (options.fold >= 0 && split.folds == 0 && split.file.empty()) split.folds = 5;
  if (options.seed >= 0) train_options.settings.training.seed = static_cast<uint64_t>(options.seed);
  if (!options.start.empty()) train_options.settings.training.start = options.start;
  train_options.folder = options.run;
  train_options.resume = options.resume;
  const WorldPlace place = place_of_process(std::getenv);
  train_options.device = options.machine.of_process(place.local_rank, place.local_size).start();
  train_options.world =
      std::make_shared<World>(place, train_options.device, std::chrono::seconds(options.patience_s));
  train_options.threads = torch::get_num_threads();
  train_options.version = MAMBASEG_VERSION;
  train_options.progress = progress_bar();
  train_options.warn = warnings_to_stderr();
  train_options.note = [](const std::string& line) { std::fprintf(stderr, "start: %s\n", line.c_str()); };
  const int64_t epochs = train_options.settings.training.epochs;
  const char* samples = train_options.settings.task->samples();
  train_options.on_line = [epochs, samples](const Json& line) {
    if (line["event"] == "start")
      std::fprintf(stderr, "%lld parameters, %lld training and %lld validation cases\n",
                   (long long)line["parameters"].get<int64_t>(),
                   (long long)line["training_cases"].get<int64_t>(),
                   (long long)line["validation_cases"].get<int64_t>());
    if (line["event"] == "epoch") std::fprintf(stderr, "%s\n", words_of(line, epochs, samples).c_str());
  };
  const TrainResult result = train(train_options);
  if (train_options.world->leads()) std::printf("%s\n", result.best_path.c_str());
}

}  // namespace

void declare_train(CLI::App& command) {
  auto options = std::make_shared<Options>();
  options->recipe.declare(command, "with --resume that of the run unless given");
  command.add_option("-o,--output", options->run, "Folder of the run: weights, journal, recipe")->required();
  options->recipe.declare_plan(command);
  command.add_option("--fold", options->fold, "Validate this fold, from 0 (of data.split.folds, else of 5)")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--repeat", options->repeat, "Random split of this number, in place of split 0")
      ->check(CLI::NonNegativeNumber);
  command.add_flag("--resume", options->resume, "Continue the run in the output folder");
  command.add_option("--seed", options->seed, "Seed, in place of the recipe's")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--start", options->start,
                     "Weights to start from as far as they fit, in place of the recipe's training.start: a "
                     "model, .pth or .npz of a published encoder");
  options->machine.declare(command);
  command
      .add_option(
          "--patience", options->patience_s,
          "Of several processes (torchrun, srun): seconds after which one that is silent counts as lost")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
