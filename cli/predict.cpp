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
#include "mambaseg/infer/probability_files.h"
#include "mambaseg/infer/small_components.h"
#include "mambaseg/infer/two_stage.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/channels.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::vector<std::string> models;
  std::vector<std::string> inputs;
  std::string output;
  PredictorSettings settings;
  double least_mm3 = 0;
  std::string precision = "fp32";
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
    const Json plan = read_model_info(path).plan;
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

std::vector<Output> outputs_of(const std::vector<PredictionCase>& cases, const TwoStage& stages,
                               bool probability) {
  std::vector<Output> outputs;
  for (const PredictionCase& one : cases) {
    outputs.push_back({one.output, "the labels of " + one.name});
    if (stages.has_second()) outputs.push_back({one.second_output, "the second labels of " + one.name});
    if (!probability) continue;
    const Predictor& first = stages.first();
    for (int64_t k = 0; k < first.probability_maps(); ++k)
      outputs.push_back({ProbabilityFiles::path_of(one.output, first.first_probability() + k),
                         "a probability of " + one.name});
  }
  return outputs;
}

void predict_case(TwoStage& stages, const PredictionCase& one, const Options& options) {
  check_writable(one.output);
  if (stages.has_second()) check_writable(one.second_output);
  const Warn warn = warnings_to_stderr();
  const Warn warn_case = [&](const std::string& line) { warn(one.name + ": " + line); };
  const Warn note = [&](const std::string& line) {
    std::printf("%s: %s\n", one.name.c_str(), line.c_str());
    std::fflush(stdout);
  };
  std::vector<Image> channels;
  for (const std::string& path : one.inputs)
    for (Image& channel : read_channels(path, warn_case)) channels.push_back(std::move(channel));
  std::optional<ProbabilityFiles> probabilities;
  ScoreResampler::Slice slice;
  if (options.probability) {
    const Predictor& predictor = stages.first();
    probabilities.emplace(one.output, predictor.probability_maps(),
                          predictor.score_grid(channels.at(0).geometry), predictor.first_probability());
    slice = [&](const torch::Tensor& p_KXY, int64_t) { probabilities->add(p_KXY); };
  }
  CaseLabels labels = stages.run(std::move(channels), progress_bar(), warn_case, note, slice);
  if (probabilities) probabilities->write();
  if (options.least_mm3 > 0) {
    const int64_t removed = remove_small_components(labels.first, options.least_mm3);
    note(concat(removed, " components below ", options.least_mm3, " mm3 removed"));
  }
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
  if (is_picture_model(read_model_info(options.models.front()))) {
    if (options.inputs.size() > 1) throw UsageError("-i: a model of pictures takes one picture or folder");
    predict_pictures({options.models, options.inputs.front(), options.output, options.split,
                      options.settings.batch, options.probability, options.overlay, options.resume,
                      options.settings.device, options.settings.precision});
    return;
  }
  if (options.overlay || !options.split.empty())
    throw UsageError("--overlay and --split belong to models of pictures");
  const auto channels = read_model_info(options.models.front()).network.value("in_channels", int64_t{1});
  auto cases = find_cases(options.inputs.front(), options.output, channels);
  if (options.inputs.size() > 1) {
    if (cases.size() != 1 || fs::is_directory(options.inputs.front()))
      throw UsageError("-i: several inputs are the channels of one case and must be image files");
    cases[0].inputs = options.inputs;
  }
  TwoStage stages = load_stages(options);
  std::vector<std::string> inputs = options.inputs;
  inputs.insert(inputs.end(), options.models.begin(), options.models.end());
  for (const PredictionCase& one : cases) inputs.insert(inputs.end(), one.inputs.begin(), one.inputs.end());
  prepare_outputs(inputs, outputs_of(cases, stages, options.probability));
  CaseFailures failures;
  size_t kept = 0;
  for (const PredictionCase& one : cases) {
    if (options.resume && is_done(one, stages.has_second())) {
      ++kept;
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    if (!failures.guard(one.name, one.inputs[0], [&] { predict_case(stages, one, options); })) continue;
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
      .add_option(
          "-i,--input", options->inputs,
          "Image file (several: the channels of one case), DICOM folder, folder of images (CASE_0000, "
          "CASE_0001, ... are channels) or FreeSurfer subjects folder; for a model of pictures a PNG, JPEG "
          "or BMP file or a folder of them")
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
  command
      .add_option(
          "--memory", options->settings.memory_gib,
          "GiB that votes and volumes may take; 0: any amount. What a case takes is printed before it runs")
      ->check(CLI::NonNegativeNumber);
  command.add_flag_callback(
      "--no-mirror", [options] { options->settings.mirror = false; },
      "Look at each patch once, although the model's plan averages over mirrored ones");
  command
      .add_option("--remove-below", options->least_mm3,
                  "Remove connected components smaller than this many mm3 from the labels; 0: keep all")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option(
          "--precision", options->precision,
          "fp32; bf16; auto: bf16 where the processor has it and a trial on the first image keeps its "
          "labels")
      ->check(CLI::IsMember({"fp32", "bf16", "auto"}))
      ->capture_default_str();
  command.add_flag("--resume", options->resume, "Keep label files that are there already");
  command.add_flag("--probability", options->probability,
                   "Write the probability too, 0..255; of volumes one image a class or region, "
                   "on the file's grid with its axes as the model's plan turns them");
  command.add_flag("--overlay", options->overlay, "Pictures: write the picture with the mask's contour too");
  command
      .add_option("--split", options->split,
                  "Pictures: only the test cases of this split file (RUN/split.json)")
      ->check(CLI::ExistingFile);
  options->machine.declare(command);
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
