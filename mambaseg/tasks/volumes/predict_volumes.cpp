#include "mambaseg/tasks/volumes/predict_volumes.h"

#include <chrono>
#include <filesystem>
#include <optional>

#include "mambaseg/core/error.h"
#include "mambaseg/core/memory.h"
#include "mambaseg/core/text.h"
#include "mambaseg/infer/case_failures.h"
#include "mambaseg/infer/cases.h"
#include "mambaseg/infer/probability_files.h"
#include "mambaseg/infer/small_components.h"
#include "mambaseg/infer/two_stage.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/channels.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/ops/cuda_stream.h"
#include "mambaseg/ops/implementation.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

TwoStage load_stages(const PredictRequest& request) {
  PredictorSettings settings;
  settings.step = request.step;
  settings.batch = request.batch;
  settings.memory_gib = request.memory_gib;
  settings.mirror = request.mirror;
  settings.device = request.device;
  settings.precision = request.precision;
  return TwoStage::load(request.models, settings);
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

void predict_case(TwoStage& stages, const PredictionCase& one, const PredictRequest& request,
                  const Listeners& listeners) {
  check_writable(one.output);
  if (stages.has_second()) check_writable(one.second_output);
  const Warn warn_case = [&](const std::string& line) { listeners.warn(one.name + ": " + line); };
  const Warn note = [&](const std::string& line) { listeners.note(one.name + ": " + line); };
  std::vector<Image> channels;
  for (const std::string& path : one.inputs)
    for (Image& channel : read_channels(path, warn_case)) channels.push_back(std::move(channel));
  std::optional<ProbabilityFiles> probabilities;
  ScoreResampler::Slice slice;
  if (request.probability) {
    const Predictor& predictor = stages.first();
    probabilities.emplace(one.output, predictor.probability_maps(),
                          predictor.score_grid(channels.at(0).geometry), predictor.first_probability());
    slice = [&](const torch::Tensor& p_KXY, int64_t) { probabilities->add(p_KXY); };
  }
  CaseLabels labels = stages.run(std::move(channels), listeners.progress, warn_case, note, slice);
  if (probabilities) probabilities->write();
  if (request.least_mm3 > 0) {
    const int64_t removed = remove_small_components(labels.first, request.least_mm3);
    note(concat(removed, " components below ", request.least_mm3, " mm3 removed"));
  }
  if (stages.has_second()) {
    Volume<int32_t> nothing(labels.first.geometry);
    write_labels(one.second_output, labels.second ? *labels.second : nothing);
  }
  write_labels(one.output, labels.first);
}

std::vector<PredictionCase> requested(const PredictRequest& request) {
  if (!request.cases.empty()) return cases_of(request.cases, request.output);
  for (const std::string& input : request.inputs)
    require(!is_picture_name(input), input, ": a picture, but ", request.models.front(),
            " is a model of volumes");
  const int64_t channels = image_channels(read_model_info(request.models.front()));
  auto cases = find_cases(request.inputs.front(), request.output, channels);
  if (request.inputs.size() > 1) {
    if (cases.size() != 1 || fs::is_directory(request.inputs.front()))
      throw UsageError("-i: several inputs are the channels of one case and must be image files");
    cases[0].inputs = request.inputs;
  }
  return cases;
}

/// What all cases together took, of both memories.
std::string memory_line(torch::Device device) {
  const auto mb = [](int64_t bytes) { return concat((bytes + 999999) / 1000000, " MB"); };
  std::string line = concat("memory taken: at most ", mb(peak_memory_bytes()));
  if (device.is_cuda())
    if (const int64_t peak = cuda_peak_bytes(device); peak > 0)
      line += concat(", and ", mb(peak), " on the GPU");
  return line;
}

}  // namespace

void predict_volumes(const PredictRequest& request, const Listeners& listeners) {
  if (request.overlay || !request.split.empty())
    throw UsageError("--overlay and --split belong to models of pictures");
  const std::vector<PredictionCase> cases = requested(request);
  TwoStage stages = load_stages(request);
  std::vector<std::string> inputs = request.inputs;
  inputs.insert(inputs.end(), request.models.begin(), request.models.end());
  for (const PredictionCase& one : cases) inputs.insert(inputs.end(), one.inputs.begin(), one.inputs.end());
  prepare_outputs(inputs, outputs_of(cases, stages, request.probability));
  const SlowOperators slow(listeners.warn);
  CaseFailures failures;
  size_t kept = 0;
  for (const PredictionCase& one : cases) {
    if (request.resume && is_done(one, stages.has_second())) {
      ++kept;
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    if (!failures.guard(one.name, one.inputs[0], [&] { predict_case(stages, one, request, listeners); }))
      continue;
    const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    listeners.note(concat(one.name, ": ", one.output, ", ", readable_duration(spent)));
  }
  if (kept > 0) listeners.note(concat(kept, " of ", cases.size(), " cases were there already"));
  if (kept < cases.size()) listeners.note(memory_line(request.device));
  failures.raise(cases.size(), listeners.warn);
}

}  // namespace mambaseg
