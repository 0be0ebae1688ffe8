#include "mambaseg/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include <torch/nn/utils.h>
#include <torch/optim/optimizer.h>
#include <torch/utils.h>

#include "mambaseg/core/memory.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/kernels/target.h"
#include "mambaseg/losses/deep_supervision.h"
#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/dense.h"
#include "mambaseg/train/batches.h"
#include "mambaseg/train/curves.h"
#include "mambaseg/train/journal.h"
#include "mambaseg/train/nan_guard.h"
#include "mambaseg/train/optimizer.h"
#include "mambaseg/train/run_folder.h"
#include "mambaseg/train/task.h"
#include "mambaseg/train/training_data.h"
#include "mambaseg/train/validation.h"

namespace mambaseg {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kStepStream = 3;
constexpr double kFirstLossScale = 65536;
constexpr int64_t kBytesAhead = int64_t{1} << 30;  // of batches that wait for the network

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// bf16 only where the processor has it: a run that began on such a processor goes on elsewhere in fp32.
std::string precision_here(const std::string& asked, torch::Device device) {
  const bool half = asked == "bf16" || asked == "auto";
  return half && !device.is_cuda() && !has_bf16_arithmetic() ? "fp32" : asked;
}

TrainingState first_state(const RunSettings& settings, torch::Device device) {
  const TrainingSettings& training = settings.training;
  TrainingState state;
  torch::manual_seed(training.seed);
  state.network = make_network(settings.network);
  state.network->to(device);
  state.optimizer = make_optimizer(training, *state.network);
  state.at.loss_scale.factor = training.loss_scale > 0        ? training.loss_scale
                               : training.precision == "fp16" ? kFirstLossScale
                                                              : 1;
  return state;
}

void require_input_edges(const RunSettings& settings, const Task& task, const Network& network) {
  if (const std::string why = network.misfit(task.input_edges); !why.empty())
    throw UsageError(concat("setting plan.", settings.task == "pictures" ? "size" : "patch",
                            " does not fit the network ", settings.network.value("name", ""), ": ", why));
}

class Trainer {
 public:
  /// The settings of `options` are complete.
  explicit Trainer(const TrainOptions& options)
      : options_(options), settings_(options.settings), task_(task_of(settings_)) {
    const TrainingSettings& training = settings_.training;
    if (training.precision == "fp16" && !options.device.is_cuda())
      throw UsageError(
          "setting training.precision: fp16 trains with --device cuda only; bf16 trains on both");
    precision_ = precision_here(training.precision, options.device);
  }

  TrainResult run() {
    folder_.emplace(options_, task_.plan);
    if (precision_ == "fp32" && settings_.training.precision == "bf16" && options_.warn)
      options_.warn("this processor does not compute in bf16: training in fp32");
    state_ = folder_->goes_on() ? folder_->last_state() : first_state(settings_, options_.device);
    require_input_edges(settings_, task_, *state_.network);
    data_ = training_data(options_, task_, *folder_);
    loss_ = make_loss(settings_.loss, loss_data(task_, data_.class_voxels));
    Journal journal(folder_->journal(), at_.journal_bytes);
    journal_ = &journal;
    if (at_.journal_bytes == 0)
      write_line({{"event", "start"},
                  {"machine", machine()},
                  {"parameters", parameter_count(*state_.network)},
                  {"training_cases", data_.samplers.size()},
                  {"validation_cases", data_.validation.size()}});
    note_another_machine();
    while (at_.epoch < settings_.training.epochs) train_epoch();
    return {folder_->best(), at_.best_dice, at_.best_epoch};
  }

 private:
  void write_line(const Json& line) {
    journal_->write(line);
    at_.journal_bytes = journal_->bytes();
    if (options_.on_line) options_.on_line(line);
  }

  /// What the bits of a run depend on besides the program and the recipe.
  Json machine() const {
    return {{"device", options_.device.str()},
            {"convolutions", dense_target()},
            {"kernels", best_target().name},
            {"precision", precision_},
            {"threads", torch::get_num_threads()}};
  }

  void note_another_machine() {
    const Json before = std::exchange(state_.machine, machine());
    if (before.is_null() || before == machine()) return;
    const std::string note =
        concat("from here on on another processor, precision or number of threads (", machine().dump(),
               ", before ", before.dump(), "): the bits are no longer those of an uninterrupted run");
    write_line({{"event", "machine"}, {"machine", machine()}, {"before", before}, {"note", note}});
    if (options_.warn) options_.warn(note);
  }

  void save() {
    journal_->sync();
    folder_->save_last(state_);
  }

  double set_rate(double epoch) {
    const double rate =
        learning_rate(settings_.schedule, settings_.training.learning_rate, epoch, settings_.training.epochs);
    set_learning_rate(*state_.optimizer, rate);
    return rate;
  }

  torch::Tensor loss_of(const std::vector<torch::Tensor>& outputs, const torch::Tensor& classes) const {
    std::vector<double> weights = settings_.training.deep_supervision;
    if (weights.empty() || outputs.size() == 1)
      weights = deep_supervision_weights(static_cast<int64_t>(outputs.size()));
    const size_t used = std::min(outputs.size(), weights.size());
    weights.resize(used);
    double sum = 0;
    for (const double weight : weights) sum += weight;
    for (double& weight : weights) weight /= sum;
    std::vector<torch::Tensor> scores;  // the loss is computed in full precision
    for (size_t i = 0; i < used; ++i) scores.push_back(outputs[i].to(torch::kFloat32));
    return deeply_supervised(*loss_, scores, {classes}, weights, at_.epoch);
  }

  std::vector<torch::Tensor> forward(const torch::Tensor& images) {
    const Autocast autocast(precision_, options_.device);
    return state_.network->forward(images);
  }

  /// One optimiser step: gradients of all its patches, averaged. Returns the sum of the patches' losses.
  double train_step(BatchStream& batches, const PlannedStep& step, double rate) {
    const TrainingSettings& training = settings_.training;
    torch::manual_seed(stream_of(stream_of(kStepStream, training.seed), static_cast<uint64_t>(at_.epoch),
                                 static_cast<uint64_t>(at_.step)));  // dropout and drop path
    state_.optimizer->zero_grad();
    const double scale = at_.loss_scale.factor;
    double loss_sum = 0;
    bool finite = true;
    for (size_t done = 0; done < step.size();) {
      const auto asked = Clock::now();
      const Batch batch = batches.next();
      waited_s_ += seconds_since(asked);
      const auto images = batch.images.to(options_.device);
      const auto classes = batch.classes.to(options_.device);
      const auto loss = loss_of(forward(images), classes);
      const auto count = static_cast<double>(batch.patches.size());
      const double value = loss.item<double>();
      if (!std::isfinite(value)) stop_not_finite("loss", value, batch, images);
      (loss * (scale * count / static_cast<double>(step.size()))).backward();
      loss_sum += value * count;
      done += batch.patches.size();
      const double norm = done < step.size() ? 0 : gradient_norm(*state_.network);
      finite = std::isfinite(norm);
      if (!finite && !at_.loss_scale.halve()) stop_not_finite("gradient norm", norm, batch, images);
    }
    if (finite) change_weights(scale);
    Json line = {{"event", "step"},
                 {"epoch", at_.epoch},
                 {"step", at_.step},
                 {"loss", loss_sum / static_cast<double>(step.size())},
                 {"learning_rate", rate}};
    if (scale != 1) line["loss_scale"] = scale;
    if (!finite) line["left_out"] = true;
    write_line(line);
    return loss_sum;
  }

  /// By the gradients of the loss times `scale`.
  void change_weights(double scale) {
    const double clip_norm = settings_.training.clip_norm;
    if (scale != 1)
      for (torch::Tensor& parameter : state_.network->parameters())
        if (parameter.grad().defined()) parameter.mutable_grad().div_(scale);
    if (clip_norm > 0) torch::nn::utils::clip_grad_norm_(state_.network->parameters(), clip_norm);
    state_.optimizer->step();
    at_.loss_scale.keep();
  }

  /// Ends the run; the weights are still those before the step, so they are kept with the position.
  [[noreturn]] void stop_not_finite(const char* what, double value, const Batch& batch,
                                    const torch::Tensor& images) {
    std::string place = find_non_finite(*state_.network, [&] { forward(images); });
    if (place.empty()) place = "not found again when the step was repeated";
    std::string patches;
    for (const std::string& patch : batch.patches) patches += (patches.empty() ? "" : "; ") + patch;
    const bool kept = all_finite(*state_.network);
    if (kept) save();
    throw Error(concat("training stopped in epoch ", at_.epoch + 1, ", step ", at_.step + 1, ": the ", what,
                       " is ", value, "; ", place, "; patches: ", patches, "; ",
                       kept ? "the weights before this step are in " : "the last finite weights are in ",
                       folder_->last(), " (a lower training.learning_rate or training.clip_norm may help)"));
  }

  void train_epoch() {
    const auto start = Clock::now();
    const TrainingSettings& training = settings_.training;
    const auto steps = plan_epoch(data_.samplers, training.patches_per_step, training.seed, at_.epoch);
    int64_t total = 0;
    for (const PlannedStep& step : steps) total += static_cast<int64_t>(step.size());
    const int64_t patches_before = at_.patches;
    // A state may have been saved behind the last step: the epoch's line has the rate of that step.
    double rate =
        set_rate(static_cast<double>(at_.epoch) +
                 static_cast<double>(std::max<int64_t>(at_.step - 1, 0)) / static_cast<double>(steps.size()));
    waited_s_ = 0;
    {
      BatchStream batches(data_.samplers, steps, training.batch, at_.step, training.seed, at_.epoch,
                          {options_.threads, kBytesAhead});
      state_.network->train();
      const std::string what = concat("epoch ", at_.epoch + 1, "/", training.epochs);
      while (at_.step < static_cast<int64_t>(steps.size())) {
        const auto& step = steps[static_cast<size_t>(at_.step)];
        rate = set_rate(static_cast<double>(at_.epoch) +
                        static_cast<double>(at_.step) / static_cast<double>(steps.size()));
        at_.loss_sum += train_step(batches, step, rate);
        at_.patches += static_cast<int64_t>(step.size());
        ++at_.step;
        ++at_.total_steps;
        if (training.save_every_steps > 0 && at_.total_steps % training.save_every_steps == 0) save();
        if (options_.progress) options_.progress(what, at_.patches, total);
      }
    }
    const double elapsed_s = seconds_since(start);
    Json line = {{"event", "epoch"},
                 {"epoch", at_.epoch},
                 {"loss", at_.loss_sum / static_cast<double>(total)},
                 {"learning_rate", rate},
                 {"seconds", elapsed_s},
                 {"waited_for_data_s", waited_s_},
                 {"patches_per_s", static_cast<double>(at_.patches - patches_before) / elapsed_s}};
    finish_epoch(line);
  }

  void finish_epoch(Json line) {
    const int64_t epoch = at_.epoch;
    const bool last = epoch + 1 == settings_.training.epochs;
    bool best = data_.validation.empty();
    if (!data_.validation.empty() && (last || (epoch + 1) % settings_.training.validate_every == 0)) {
      const double dice = validate(line);
      const double kept = at_.average_dice < 0 ? 0 : settings_.training.validation_average;
      at_.average_dice = kept * at_.average_dice + (1 - kept) * dice;
      line["validation"]["average_dice"] = at_.average_dice;
      best = at_.average_dice > at_.best_dice;
      if (best) at_.best_dice = at_.average_dice;
    }
    if (best) at_.best_epoch = epoch;
    line["best_epoch"] = at_.best_epoch;
    line["peak_memory_mib"] = static_cast<double>(peak_memory_bytes()) / (1 << 20);
    write_line(line);
    write_file_atomically(folder_->curves(), training_curves(read_epoch_lines(folder_->journal())));
    at_.epoch = epoch + 1;
    at_.step = at_.patches = 0;
    at_.loss_sum = 0;
    // First the best, then the state: killed between the two, the resumed run repeats the epoch and writes
    // the same best.
    if (best) folder_->save_best(state_);
    save();
  }

  double validate(Json& line) {
    const auto start = Clock::now();
    state_.network->eval();
    std::vector<CaseDice> cases;
    for (const PreparedCase& one : data_.validation) {
      const auto predicted = task_.predict(*state_.network, one, options_.device);
      cases.push_back(dice_of(predicted, one.classes_IJK, task_.classes_of));
      if (options_.progress)
        options_.progress("validation", static_cast<int64_t>(cases.size()),
                          static_cast<int64_t>(data_.validation.size()));
    }
    const double mean = mean_dice(cases);
    Json by_class = Json::object();
    const CaseDice means = class_means(cases);
    for (size_t k = 0; k < means.size(); ++k)
      by_class[task_.structures[k]] = means[k] ? Json(*means[k]) : Json();
    line["validation"] = {{"dice", mean}, {"classes", by_class}, {"seconds", seconds_since(start)}};
    return mean;
  }

  const TrainOptions& options_;
  const RunSettings& settings_;
  const Task task_;
  std::string precision_;
  std::optional<RunFolder> folder_;
  TrainingData data_;
  std::unique_ptr<Loss> loss_;
  TrainingState state_;
  RunPosition& at_ = state_.at;
  double waited_s_ = 0;  ///< of this epoch, for batches
  Journal* journal_ = nullptr;
};

}  // namespace

void remove_run(const std::string& folder) { RunFolder::remove(folder); }

TrainResult train(const TrainOptions& given) {
  TrainOptions options = given;
  options.settings = resolved(given.settings);
  return Trainer(options).run();
}

}  // namespace mambaseg
