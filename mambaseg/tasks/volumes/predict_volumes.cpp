#include "mambaseg/tasks/volumes/predict_volumes.h"

#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include <torch/utils.h>

#include "mambaseg/core/clock.h"
#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/core/workers.h"
#include "mambaseg/infer/cases.h"
#include "mambaseg/infer/cause_of_failure.h"
#include "mambaseg/infer/probability_files.h"
#include "mambaseg/infer/small_components.h"
#include "mambaseg/infer/two_stage.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/case_failures.h"
#include "mambaseg/io/channels.h"
#include "mambaseg/io/cohort.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/ops/device_memory.h"
#include "mambaseg/ops/implementation.h"
#include "mambaseg/ops/threads.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

TwoStage load_stages(const PredictRequest& request) {
  PredictorSettings settings;
  settings.step = request.step;
  settings.batch = request.batch;
  settings.memory_gib = request.memory_gib;
  settings.probabilities = request.probability;
  settings.mirror = request.mirror;
  settings.quarter_from = request.quarter_from;
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

/// A case that was read and prepared, or why it could not be.
struct CaseAhead {
  StagedCase staged;
  Geometry grid;  ///< of the file
  std::vector<std::string> warnings;
  std::exception_ptr failure;
  std::shared_ptr<Claim> claim;
  bool of_another = false;  ///< another worker has it
};

/// Cases one after the other: while the networks look at one, the next is read and prepared and the last is
/// written. Where memory is limited each case has all of it, and nothing happens meanwhile.
class CasePredictions {
 public:
  CasePredictions(TwoStage& stages, const PredictRequest& request, const Listeners& listeners, Cohort& cohort,
                  CaseFailures& failures)
      : stages_(stages),
        cohort_(cohort),
        request_(request),
        listeners_(listeners),
        failures_(failures),
        overlap_(request.memory_gib == 0) {}

  /// The cases with the numbers `todo`; those that other workers have are left to them.
  void run(const std::vector<PredictionCase>& cases, const std::vector<size_t>& todo) {
    const auto read_number = [&](size_t number) { return read(cases[number], number); };
    const auto later = [&](int64_t i) { return read_number(todo[static_cast<size_t>(i) + 1]); };
    std::optional<ResultStream<CaseAhead>> ahead;  // without the first, for which nothing waits
    // Beside a network on the processor one thread; what they give does not depend on their number.
    const int threads = request_.device.is_cuda() ? torch::get_num_threads() : 1;
    if (overlap_ && todo.size() > 1)
      ahead.emplace(
          static_cast<int64_t>(todo.size()) - 1, Workers(1), later, JobBytes{},
          [threads](int) { compute_on_threads(threads); }, 1);
    for (size_t i = 0; i < todo.size(); ++i) {
      const auto start = Clock::now();
      const PredictionCase& here = cases[todo[i]];
      CaseAhead one = ahead && i > 0 ? ahead->next() : read_number(todo[i]);
      if (one.of_another) continue;
      const std::shared_ptr<Claim> claim = one.claim;
      std::function<std::string()> writing;
      std::exception_ptr failure = one.failure;
      try {
        if (!failure) writing = predicted(here, std::move(one));
      } catch (...) {
        failure = std::current_exception();
      }
      finish_last();
      if (failure)
        failures_.guard(
            here.name, here.inputs[0], [&] { std::rethrow_exception(failure); }, claim.get());
      else
        last_ = {&here, start, claim,
                 std::async(overlap_ ? std::launch::async : std::launch::deferred, std::move(writing))};
      if (!overlap_) finish_last();
    }
    finish_last();
  }

 private:
  /// A case that is being written.
  struct CaseInWriting {
    const PredictionCase* one = nullptr;
    Clock::time_point start;
    std::shared_ptr<Claim> claim;
    std::future<std::string> note;
  };

  CaseAhead read(const PredictionCase& one, size_t number) const {
    CaseAhead ahead;
    const Warn keep = [&](const std::string& line) { ahead.warnings.push_back(line); };
    try {
      ahead.claim = cohort_.claim(number, [&] { return is_done(one, stages_.has_second()); });
      ahead.of_another = !ahead.claim;
      if (ahead.of_another) return ahead;
      std::vector<Image> channels;
      for (const std::string& path : one.inputs)
        for (Image& channel : read_channels(path, keep)) channels.push_back(std::move(channel));
      ahead.grid = channels.at(0).geometry;
      ahead.staged = stages_.prepare(std::move(channels), keep);
    } catch (...) {
      ahead.failure = std::current_exception();
    }
    return ahead;
  }

  /// Runs the networks; what is returned writes the files and says what a person may want to know.
  std::function<std::string()> predicted(const PredictionCase& one, CaseAhead ahead) {
    check_writable(one.output);
    if (stages_.has_second()) check_writable(one.second_output);
    const Warn warn = [&](const std::string& line) { listeners_.warn(one.name + ": " + line); };
    const Warn note = [&](const std::string& line) { listeners_.note(one.name + ": " + line); };
    for (const std::string& line : ahead.warnings) warn(line);
    std::shared_ptr<ProbabilityFiles> probabilities;
    ScoreResampler::Slice slice;
    if (request_.probability) {
      const Predictor& predictor = stages_.first();
      probabilities =
          std::make_shared<ProbabilityFiles>(one.output, predictor.probability_maps(),
                                             predictor.score_grid(ahead.grid), predictor.first_probability());
      slice = [&](const torch::Tensor& p_KXY, int64_t) { probabilities->add(p_KXY); };
    }
    const auto labels = std::make_shared<CaseLabels>(
        stages_.run_prepared(std::move(ahead.staged), listeners_.progress, warn, note, slice));
    return [&one, labels, probabilities, least_mm3 = request_.least_mm3, two = stages_.has_second()] {
      if (probabilities) probabilities->write();
      std::string done;
      if (least_mm3 > 0)
        done = concat(remove_small_components(labels->first, least_mm3), " components below ", least_mm3,
                      " mm3 removed");
      if (two) {
        Volume<int32_t> nothing(labels->first.geometry);
        write_labels(one.second_output, labels->second ? *labels->second : nothing);
      }
      write_labels(one.output, labels->first);
      return done;
    };
  }

  void finish_last() {
    if (!last_.one) return;
    const PredictionCase& one = *std::exchange(last_.one, nullptr);
    std::string note;
    const std::shared_ptr<Claim> claim = std::move(last_.claim);
    const bool good = failures_.guard(
        one.name, one.inputs[0], [&] { note = last_.note.get(); }, claim.get());
    if (!good) return;
    if (!note.empty()) listeners_.note(one.name + ": " + note);
    listeners_.note(concat(one.name, ": ", one.output, ", ", readable_duration(seconds_since(last_.start))));
  }

  TwoStage& stages_;
  Cohort& cohort_;
  const PredictRequest& request_;
  const Listeners& listeners_;
  CaseFailures& failures_;
  const bool overlap_;
  CaseInWriting last_;
};

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
  CaseFailures failures(cause_of_failure);
  std::vector<CohortCase> files;
  for (const PredictionCase& one : cases) files.push_back({one.name, one.output});
  Cohort cohort(request.shard, request.output, files, listeners.warn);
  std::vector<size_t> todo;
  size_t kept = 0;
  for (const size_t number : cohort.order())
    if ((request.resume || request.shard) && is_done(cases[number], stages.has_second()))
      ++kept;
    else
      todo.push_back(number);
  CasePredictions(stages, request, listeners, cohort, failures).run(cases, todo);
  if (kept > 0) listeners.note(concat(kept, " of ", cases.size(), " cases were there already"));
  if (!todo.empty()) listeners.note(memory_taken_line(request.device));
  failures.raise(cases.size(), listeners.warn);
}

}  // namespace mambaseg
