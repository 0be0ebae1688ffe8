#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "cli/case_failures.h"
#include "cli/commands.h"
#include "cli/predict_pictures.h"
#include "cli/terminal.h"
#include "mambaseg/core/error.h"
#include "mambaseg/infer/cases.h"
#include "mambaseg/infer/picture_predictor.h"
#include "mambaseg/infer/two_stage.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> models;
  std::string input, output;
  PredictorSettings settings;
  bool resume = false;
  std::string split;
  bool probability = false, overlay = false;
  Machine machine;
};

/// The models in the order given: those that work on the whole image form the first stage, those that work
/// around labels the second; several of one stage are averaged.
TwoStage load_stages(const Options& options) {
  std::vector<std::string> first, second;
  for (const std::string& path : options.models) {
    const Json plan = load_model(path).info.plan;
    (plan.value("region", "brain") == "labels" ? second : first).push_back(path);
  }
  if (first.empty())
    throw UsageError(
        options.models.front() +
        ": this model works around labels of an earlier stage; give the model of that stage as well");
  std::optional<Predictor> later;
  if (!second.empty()) later = Predictor::load(second, options.settings);
  return TwoStage(Predictor::load(first, options.settings), std::move(later));
}

/// Labels are written under a temporary name and renamed, so a file that is there is complete.
bool is_done(const PredictionCase& one, bool two_stages) {
  return fs::exists(one.output) && (!two_stages || fs::exists(one.second_output));
}

void predict_case(const TwoStage& stages, const PredictionCase& one) {
  prepare_output(one.output);
  if (stages.has_second()) prepare_output(one.second_output);
  const Warn warn = warnings_to_stderr();
  const Warn warn_case = [&](const std::string& line) { warn(one.name + ": " + line); };
  const Warn note = [&](const std::string& line) {
    std::printf("%s: %s\n", one.name.c_str(), line.c_str());
    std::fflush(stdout);
  };
  const CaseLabels labels = stages.run(read_image(one.input, warn_case), progress_bar(), warn_case, note);
  if (stages.has_second()) {
    Volume<int32_t> nothing(labels.first.geometry);
    write_labels(one.second_output, labels.second ? *labels.second : nothing);
  }
  write_labels(one.output, labels.first);
}

void run(const Options& given) {
  Options options = given;
  options.settings.device = options.machine.start();
  if (is_picture_model(load_model(options.models.front()).info)) {
    predict_pictures({options.models, options.input, options.output, options.split, options.settings.batch,
                      options.probability, options.overlay, options.resume, options.settings.device});
    return;
  }
  if (options.probability || options.overlay || !options.split.empty())
    throw UsageError("--probability, --overlay and --split belong to models of pictures");
  const auto cases = find_cases(options.input, options.output);
  const TwoStage stages = load_stages(options);
  CaseFailures failures;
  size_t kept = 0;
  for (const PredictionCase& one : cases) {
    if (options.resume && is_done(one, stages.has_second())) {
      ++kept;
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    if (!failures.guard(one.name + " (" + one.input + ")", [&] { predict_case(stages, one); })) continue;
    const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%s: %s, %s\n", one.name.c_str(), one.output.c_str(), readable_duration(spent).c_str());
    std::fflush(stdout);
  }
  if (kept > 0) std::printf("%zu of %zu cases were there already\n", kept, cases.size());
  failures.raise(cases.size());
}

}  // namespace

void declare_predict(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command
      .add_option(
          "-m,--model", options->models,
          "Model file; a model of a second stage (around labels of the first) and more models of the same "
          "stage, whose probabilities are averaged, may follow")
      ->required()
      ->check(CLI::ExistingFile);
  command
      .add_option("-i,--input", options->input,
                  "Image file, DICOM folder, folder of images or FreeSurfer subjects folder; for a model of "
                  "pictures a PNG, JPEG or BMP file or a folder of them")
      ->required();
  command
      .add_option("-o,--output", options->output,
                  "Label file for one image (PNG for a picture), else a folder")
      ->required();
  command.add_option("--step", options->settings.step, "Voxels between patches; 0: as the model's plan says")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--batch", options->settings.batch,
                  "Patches or pictures that go through the network together")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_flag("--resume", options->resume, "Keep label files that are there already");
  command.add_flag("--probability", options->probability, "Pictures: write the probability too, 0..255");
  command.add_flag("--overlay", options->overlay, "Pictures: write the picture with the mask's contour too");
  command
      .add_option("--split", options->split,
                  "Pictures: only the test cases of this split file (RUN/split.json)")
      ->check(CLI::ExistingFile);
  options->machine.declare(command);
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
