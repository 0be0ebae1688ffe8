#include "mambaseg/tasks/pictures/predict_pictures.h"

#include <cmath>
#include <exception>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include <torch/utils.h>

#include "mambaseg/core/clock.h"
#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/core/workers.h"
#include "mambaseg/data/datasets.h"
#include "mambaseg/infer/cause_of_failure.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/case_failures.h"
#include "mambaseg/io/cohort.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/ops/device_memory.h"
#include "mambaseg/ops/implementation.h"
#include "mambaseg/ops/threads.h"
#include "mambaseg/tasks/pictures/picture_files.h"
#include "mambaseg/tasks/pictures/picture_overlay.h"
#include "mambaseg/tasks/pictures/picture_predictor.h"

namespace mambaseg {
namespace {

std::vector<int64_t> probability_classes(const PictureLabels& labels) {
  std::vector<int64_t> classes;
  const int64_t maps = labels.scheme().vote_maps(labels.score_maps());
  for (const auto& [k, map] : labels.probabilities(torch::zeros({maps, 1, 1}))) classes.push_back(k);
  return classes;
}

std::vector<Output> outputs_of(const std::vector<PictureFiles>& pictures, const PredictRequest& request,
                               const PictureLabels& labels) {
  const std::vector<int64_t> classes = probability_classes(labels);
  std::vector<Output> outputs;
  for (const PictureFiles& files : pictures) {
    outputs.push_back({files.mask, "the mask of " + files.name});
    for (const int64_t k : classes)
      if (request.probability)
        outputs.push_back({files.probability_of(k, classes.size()), "a probability of " + files.name});
    if (request.overlay) outputs.push_back({files.overlay, "the overlay of " + files.name});
  }
  return outputs;
}

void write_results(const PictureFiles& files, const Picture& picture, const torch::Tensor& votes_KYX,
                   const PredictRequest& request, const PictureLabels& labels) {
  const torch::Tensor classes = labels.decide(votes_KYX);
  if (request.probability) {
    const auto maps = labels.probabilities(votes_KYX);
    for (const auto& [k, map] : maps) write_picture(files.probability_of(k, maps.size()), grey_picture(map));
  }
  if (request.overlay) write_picture(files.overlay, overlay_of(picture, classes, labels));
  write_picture(files.mask, labels.mask_of(classes));  // last: with --resume it says that all is there
}

std::vector<PictureFiles> requested(const PredictRequest& request, const Listeners& listeners,
                                    int64_t files) {
  if (request.step > 0 || request.memory_gib > 0 || request.least_mm3 > 0 || !request.mirror)
    throw UsageError("--step, --memory, --remove-below and --no-mirror belong to models of volumes");
  if (!request.cases.empty()) return pictures_of(request.cases, request.output);
  std::vector<std::string> only;
  if (!request.split.empty()) {
    only = read_split_file(request.split).test;
    require(!only.empty(), request.split, ": no test cases in this split");
  }
  auto all = find_pictures(request.inputs.front(), request.output, only, listeners.warn, files);
  if (request.inputs.size() > 1) {
    if (std::filesystem::is_directory(request.inputs.front()))
      throw UsageError("-i: several inputs are the channels of one picture and must be files");
    all.front().inputs = request.inputs;
  }
  return all;
}

/// Pictures that go through the network together, those that could be read; `which` of all they are.
struct PictureBatch {
  std::vector<PictureChannels> pictures;
  std::vector<size_t> which;
  std::vector<std::pair<size_t, std::exception_ptr>> failures;
  std::map<size_t, std::shared_ptr<Claim>> claims;
};

/// Batches one after the other: while the network looks at one, the next are read and the last is written.
class PicturePredictions {
 public:
  PicturePredictions(PicturePredictor& predictor, const PredictRequest& request, const Listeners& listeners,
                     Cohort& cohort, CaseFailures& failures)
      : predictor_(predictor),
        request_(request),
        listeners_(listeners),
        cohort_(cohort),
        failures_(failures) {}

  /// How many were written. `numbers`: those of the pictures in the cohort.
  size_t run(const std::vector<PictureFiles>& todo, const std::vector<size_t>& numbers) {
    const auto count = static_cast<int64_t>(todo.size());
    const int64_t batches = (count + request_.batch - 1) / request_.batch;
    const int threads = torch::get_num_threads();
    const auto first = [&](int64_t b) { return static_cast<size_t>(b * request_.batch); };
    const auto end = [&](int64_t b) { return std::min(todo.size(), first(b + 1)); };
    const auto make = [&](int64_t b) { return read(todo, numbers, first(b), end(b)); };
    const auto bytes = [&](int64_t b) { return decoded_bytes(todo, first(b), end(b)); };
    ResultStream<PictureBatch> ahead(batches, Workers(threads), make, bytes, {}, 2 * threads);
    for (int64_t b = 0; b < batches; ++b) {
      PictureBatch batch = ahead.next();
      std::vector<torch::Tensor> votes;
      if (!batch.pictures.empty()) {
        if (const std::string line = predictor_.settle_precision(batch.pictures); !line.empty())
          listeners_.note(line);
        votes = predictor_.votes(batch.pictures);
      }
      finish_last(todo);
      for (const auto& [i, failure] : batch.failures)
        failures_.guard(
            todo[i].name, todo[i].inputs[0], [&] { std::rethrow_exception(failure); }, batch.claims[i].get());
      last_claims_ = std::exchange(batch.claims, {});
      last_ = std::async(std::launch::async,
                         [this, &todo, threads, batch = std::move(batch), votes = std::move(votes)] {
                           compute_on_threads(1);
                           return write(todo, batch, votes, threads);
                         });
      if (listeners_.progress)
        listeners_.progress("predicting pictures", static_cast<int64_t>(end(b)), count);
    }
    finish_last(todo);
    return written_;
  }

 private:
  /// A picture that was written, or why not.
  using Outcomes = std::vector<std::pair<size_t, std::exception_ptr>>;

  PictureBatch read(const std::vector<PictureFiles>& todo, const std::vector<size_t>& numbers, size_t first,
                    size_t end) const {
    PictureBatch batch;
    for (size_t i = first; i < end; ++i) {
      try {
        const auto claim = cohort_.claim(numbers[i], [&] { return std::filesystem::exists(todo[i].mask); });
        if (!claim) continue;  // another worker has it
        batch.claims[i] = claim;
        for (const Output& output : outputs_of({todo[i]}, request_, predictor_.labels()))
          check_writable(output.path);
        PictureChannels channels;
        for (const std::string& path : todo[i].inputs) channels.push_back(read_picture(path));
        predictor_.check(channels);
        batch.pictures.push_back(std::move(channels));
        batch.which.push_back(i);
      } catch (...) {
        batch.failures.emplace_back(i, std::current_exception());
      }
    }
    return batch;
  }

  /// About what the pictures take once they are read: JPEG makes photographs 10 to 30 times smaller.
  static int64_t decoded_bytes(const std::vector<PictureFiles>& todo, size_t first, size_t end) {
    constexpr int64_t kTimes = 30;
    int64_t sum = 0;
    for (size_t i = first; i < end; ++i)
      for (const std::string& path : todo[i].inputs) {
        std::error_code failed;  // reading will tell
        const auto size = std::filesystem::file_size(path, failed);
        if (!failed) sum += kTimes * static_cast<int64_t>(size);
      }
    return sum;
  }

  Outcomes write(const std::vector<PictureFiles>& todo, const PictureBatch& batch,
                 const std::vector<torch::Tensor>& votes, int threads) const {
    Outcomes written;
    for (const size_t i : batch.which) written.emplace_back(i, nullptr);
    run_tensor_jobs(static_cast<int64_t>(votes.size()), Workers(threads), [&](int64_t job) {
      const auto p = static_cast<size_t>(job);
      try {
        write_results(todo[batch.which[p]], batch.pictures[p][0], votes[p], request_, predictor_.labels());
      } catch (...) {
        written[p].second = std::current_exception();
      }
    });
    return written;
  }

  void finish_last(const std::vector<PictureFiles>& todo) {
    if (!last_.valid()) return;
    for (const auto& [i, failure] : last_.get())
      written_ += failures_.guard(
          todo[i].name, todo[i].inputs[0],
          [&] {
            if (failure) std::rethrow_exception(failure);
          },
          last_claims_[i].get());
    last_claims_.clear();
  }

  PicturePredictor& predictor_;
  const PredictRequest& request_;
  const Listeners& listeners_;
  Cohort& cohort_;
  CaseFailures& failures_;
  std::future<Outcomes> last_;  ///< that is being written
  std::map<size_t, std::shared_ptr<Claim>> last_claims_;
  size_t written_ = 0;
};

}  // namespace

void predict_pictures(const PredictRequest& request, const Listeners& listeners) {
  PicturePredictor predictor =
      PicturePredictor::load(request.models, request.device, request.precision, request.quarter_from);
  const std::vector<PictureFiles> all = requested(request, listeners, predictor.files());
  const PictureLabels& labels = predictor.labels();
  std::vector<std::string> inputs = request.inputs;
  for (const PictureFiles& files : all) inputs.insert(inputs.end(), files.inputs.begin(), files.inputs.end());
  prepare_outputs(inputs, outputs_of(all, request, labels));
  std::vector<CohortCase> cases;
  for (const PictureFiles& files : all) cases.push_back({files.name, files.mask});
  Cohort cohort(request.shard, request.output, cases, listeners.warn);
  std::vector<PictureFiles> todo;
  std::vector<size_t> numbers;
  size_t kept = 0;
  for (const size_t number : cohort.order()) {
    if ((request.resume || request.shard) && std::filesystem::exists(all[number].mask)) {
      ++kept;
      continue;
    }
    todo.push_back(all[number]);
    numbers.push_back(number);
  }
  const auto start = Clock::now();
  const SlowOperators slow(listeners.warn);
  CaseFailures failures(cause_of_failure);
  const size_t written =
      PicturePredictions(predictor, request, listeners, cohort, failures).run(todo, numbers);
  const double spent_s = seconds_since(start);
  if (kept > 0) listeners.note(concat(kept, " of ", all.size(), " masks were there already"));
  if (written > 0 || todo.empty())
    listeners.note(concat(written, written == 1 ? " mask in " : " masks in ", request.output, ", ",
                          readable_duration(spent_s), ", ",
                          todo.empty() ? 0 : std::round(100 * static_cast<double>(written) / spent_s) / 100,
                          " pictures/s"));
  if (!todo.empty()) listeners.note(memory_taken_line(request.device));
  failures.raise(all.size(), listeners.warn);
}

}  // namespace mambaseg
