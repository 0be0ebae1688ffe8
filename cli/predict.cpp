#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "mambaseg/core/error.h"
#include "mambaseg/infer/cases.h"
#include "mambaseg/infer/two_stage.h"
#include "mambaseg/io/atomic_file.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> models;
  std::string input, output;
  PredictorSettings settings;
  std::string precision = "fp32";
  bool resume = false;
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

/// Makes the folder of an output, and finds out before the network runs whether a file can be written there.
void prepare_output(const std::string& path) {
  if (const fs::path folder = fs::path(path).parent_path(); !folder.empty()) {
    std::error_code failed;
    fs::create_directories(folder, failed);
    require(!failed, folder.string(), ": cannot be made: ", failed.message());
  }
  check_writable(path);
}

void predict_case(TwoStage& stages, const PredictionCase& one) {
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
  options.settings.precision = precision_named(options.precision);
  const auto cases = find_cases(options.input, options.output);
  TwoStage stages = load_stages(options);
  std::vector<std::string> failures;
  size_t kept = 0;
  for (const PredictionCase& one : cases) {
    if (options.resume && is_done(one, stages.has_second())) {
      ++kept;
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    try {
      predict_case(stages, one);
    } catch (const std::bad_alloc&) {
      failures.push_back(one.name + " (" + one.input + "): not enough memory");
      continue;
    } catch (const std::exception& error) {  // also LibTorch's; one bad case does not stop the others
      const std::string text = error.what();
      failures.push_back(one.name + " (" + one.input + "): " + text.substr(0, text.find('\n')));
      continue;
    }
    const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%s: %s, %s\n", one.name.c_str(), one.output.c_str(), readable_duration(spent).c_str());
    std::fflush(stdout);
  }
  if (kept > 0) std::printf("%zu of %zu cases were there already\n", kept, cases.size());
  if (failures.empty()) return;
  if (cases.size() == 1) throw Error(failures.front());
  for (const std::string& line : failures) std::fprintf(stderr, "mambaseg: failed: %s\n", line.c_str());
  throw Error(concat(failures.size(), " of ", cases.size(), " cases failed"));
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
                  "Image file, DICOM folder, folder of images or FreeSurfer subjects folder")
      ->required();
  command.add_option("-o,--output", options->output, "Label file for one image, else a folder")->required();
  command.add_option("--step", options->settings.step, "Voxels between patches; 0: as the model's plan says")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--batch", options->settings.batch, "Patches that go through the network together")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--precision", options->precision,
                  "fp32; bf16; auto: bf16 where the processor has it and the first image's middle patch keeps "
                  "its labels")
      ->check(CLI::IsMember({"fp32", "bf16", "auto"}))
      ->capture_default_str();
  command.add_flag("--resume", options->resume, "Keep label files that are there already");
  options->machine.declare(command);
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
