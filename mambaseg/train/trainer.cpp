#include "mambaseg/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include <torch/nn/utils.h>
#include <torch/optim/optimizer.h>
#include <torch/utils.h>

#include "mambaseg/core/memory.h"
#include "mambaseg/data/case_cache.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/folder_lock.h"
#include "mambaseg/kernels/target.h"
#include "mambaseg/losses/deep_supervision.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/dense.h"
#include "mambaseg/train/batches.h"
#include "mambaseg/train/curves.h"
#include "mambaseg/train/data_checks.h"
#include "mambaseg/train/journal.h"
#include "mambaseg/train/nan_guard.h"
#include "mambaseg/train/optimizer.h"
#include "mambaseg/train/task.h"
#include "mambaseg/train/training_state.h"
#include "mambaseg/train/validation.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kStepStream = 3;
constexpr double kFirstLossScale = 65536;
constexpr int64_t kBytesAhead = int64_t{1} << 30;  // of batches that wait for the network
constexpr const char* kRunFiles[] = {"recipe.toml", "split.json", "journal.jsonl", "last.safetensors",
                                     "best.safetensors"};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// bf16 only where the processor has it: a run that began on such a processor goes on elsewhere in fp32.
std::string precision_here(const std::string& asked, torch::Device device) {
  const bool half = asked == "bf16" || asked == "auto";
  return half && !device.is_cuda() && !has_bf16_arithmetic() ? "fp32" : asked;
}

/// Throws UsageError when a setting, or one of a section of settings, is not that of the run to be resumed.
void require_unchanged(const std::string& setting, const Json& now, const Json& of_the_run) {
  if (now.is_object()) {
    for (const auto& [key, value] : now.items())
      require_unchanged(setting + "." + key, value, of_the_run.at(key));
    return;
  }
  if (now != of_the_run)
    throw UsageError(concat("setting ", setting, ": got ", now.dump(), ", but the run to be resumed has ",
                            of_the_run.dump(), "; leave it, or start a new run in another folder"));
}

class Trainer {
 public:
  explicit Trainer(const TrainOptions& options)
      : options_(options), settings_(resolved(options.settings)), task_(task_of(settings_)) {
    const TrainingSettings& training = settings_.training;
    if (training.precision == "fp16" && !options.device.is_cuda())
      throw UsageError(
          "setting training.precision: fp16 trains with --device cuda only; bf16 trains on both");
    precision_ = precision_here(training.precision, options.device);
    at_.loss_scale.factor = training.loss_scale > 0        ? training.loss_scale
                            : training.precision == "fp16" ? kFirstLossScale
                                                           : 1;
  }

  TrainResult run() {
    open_folder();
    if (precision_ == "fp32" && settings_.training.precision == "bf16" && options_.warn)
      options_.warn("this processor does not compute in bf16: training in fp32");
    make_or_load();
    prepare();
    Journal journal(path("journal.jsonl"), at_.journal_bytes);
    journal_ = &journal;
    if (at_.journal_bytes == 0)
      write_line({{"event", "start"},
                  {"machine", machine()},
                  {"parameters", parameter_count(*network_)},
                  {"training_cases", samplers_.size()},
                  {"validation_cases", validation_.size()}});
    note_another_machine();
    while (at_.epoch < settings_.training.epochs) train_epoch();
    return {path("best.safetensors"), at_.best_dice, at_.best_epoch};
  }

 private:
  std::string path(const char* name) const { return (fs::path(options_.folder) / name).string(); }

  void write_line(const Json& line) {
    journal_->write(line);
    at_.journal_bytes = journal_->bytes();
    if (options_.on_line) options_.on_line(line);
  }

  void open_folder() {
    const auto holds_run = [this] {
      return std::any_of(std::begin(kRunFiles), std::end(kRunFiles),
                         [this](const char* name) { return fs::exists(path(name)); });
    };
    require(!options_.resume || holds_run(), options_.folder, ": no run to resume");
    make_folder(options_.folder);
    lock_.emplace(options_.folder);
    if (!options_.resume && holds_run())
      throw UsageError(options_.folder +
                       ": holds a run already; --resume continues it, or choose another folder");
    if (options_.resume && fs::exists(path("recipe.toml"))) check_draws_of_the_run();
  }

  /// What decides which samples are drawn stays as it was. The data may have moved, or go by another name.
  void check_draws_of_the_run() const {
    const RunSettings stored = with_context(
        path("recipe.toml"), [&] { return from_json<RunSettings>(read_toml(path("recipe.toml"))); });
    DatasetSettings dataset = stored.data.dataset;
    const std::string& folder = settings_.data.dataset.folder;
    std::error_code failed;
    const bool moved = !fs::exists(dataset.folder, failed) && fs::exists(folder, failed);
    if (moved && options_.warn)
      options_.warn(concat(dataset.folder, ", the data of the run, is not there; those of ", folder,
                           " are taken, which should be the same"));
    if (moved || fs::weakly_canonical(folder, failed) == fs::weakly_canonical(dataset.folder, failed))
      dataset.folder = folder;
    require_unchanged("data.dataset", to_json(settings_.data.dataset), to_json(dataset));
    require_unchanged("data.split", to_json(settings_.data.split), to_json(stored.data.split));
    require_unchanged("training.seed", settings_.training.seed, stored.training.seed);
  }

  /// A resumed run keeps the split that it began with, whatever was added to the dataset meanwhile.
  Split split_of(const std::vector<Case>& cases) {
    const std::string file = path("split.json");
    dataset_cases_ = static_cast<int64_t>(cases.size());
    if (!options_.resume || !fs::exists(file)) {
      require(!options_.resume || !fs::exists(path("last.safetensors")), file,
              " is missing; without it, no one knows which cases the run has trained on");
      Split split = split_cases(cases, settings_.data.split);
      if (const std::string unused = unlisted_cases(split, settings_.data.split);
          options_.warn && !unused.empty())
        options_.warn(unused);
      return split;
    }
    const SplitLists lists = read_split_file(file);
    begun_content_ = read_json(file).value("content", Json::object());
    SplitSettings stored;
    stored.group = settings_.data.split.group;
    stored.train = lists.train;
    stored.validation = lists.validation;
    stored.test = lists.test;
    const Split split = with_context(file + " of the run to be resumed, and " + settings_.data.dataset.folder,
                                     [&] { return split_cases(cases, stored); });
    const int64_t began_with = read_json(file).value("cases", dataset_cases_);
    if (dataset_cases_ > began_with && options_.warn)
      options_.warn(concat(settings_.data.dataset.folder, ": ", dataset_cases_ - began_with,
                           " cases were added since the run began; it goes on without them"));
    dataset_cases_ = began_with;
    return split;
  }

  void prepare() {
    const Split split = split_of(read_dataset(settings_.data.dataset));
    const std::string cache = settings_.data.cache.empty() ? path("cache") : settings_.data.cache;
    std::vector<Case> all = split.train;
    all.insert(all.end(), split.validation.begin(), split.validation.end());
    prepare_cases(all, task_.preparation, cache, options_.threads, options_.progress, options_.warn);
    class_voxels_.assign(task_.structures.size() + 1, 0);
    RunCases seen;
    seen.structures = task_.structures;
    for (const Case& one : split.train) {
      const PreparedCase prepared = load_prepared(cache, one.id);
      const auto counts = torch::bincount(prepared.classes_IJK.flatten(), {}, kIgnoredClass + 1);
      class_voxels_[0] += counts[0].item<double>();
      for (size_t s = 0; s < task_.classes_of.size(); ++s)
        for (const int64_t k : task_.classes_of[s]) class_voxels_[s + 1] += counts[k].item<double>();
      check_channels(prepared);
      note_content(prepared);
      seen.training.push_back({one.id, prepared.content, prepared.unnamed_labels});
      samplers_.push_back(task_.sampler(prepared));
    }
    seen.validation_holds_any = split.validation.empty();
    for (const Case& one : split.validation) {
      validation_.push_back(load_prepared(cache, one.id));
      const PreparedCase& prepared = validation_.back();
      check_channels(prepared);
      note_content(prepared);
      seen.validation.push_back({one.id, prepared.content, prepared.unnamed_labels});
      const torch::Tensor& classes = prepared.classes_IJK;
      seen.validation_holds_any =
          seen.validation_holds_any || (classes.ne(0) & classes.ne(kIgnoredClass)).any().item<bool>();
    }
    seen.training_voxels = class_voxels_;
    check_run_cases(seen, options_.warn);
    write_file_atomically(path("recipe.toml"), to_toml(to_json(settings_)));
    write_file_atomically(path("split.json"), split_text(split));
    loss_ = make_loss(settings_.loss, loss_data(task_, class_voxels_));
  }

  std::string split_text(const Split& split) const {
    Json json = split_json(split);
    json["cases"] = dataset_cases_;  // of the dataset, also those in no list
    json["content"] = content_;
    return json.dump(1) + "\n";
  }

  /// A resumed run goes on with the images and labels that it began with. (Runs of old versions noted none.)
  void note_content(const PreparedCase& one) {
    const std::string now = one.content + "-" + one.classes_content;
    require(begun_content_.value(one.id, now) == now, "case ", one.id, " of ", settings_.data.dataset.folder,
            ": its image or labels have changed since the run to be resumed began; bring them back, or start "
            "a new "
            "run in another folder");
    content_[one.id] = now;
  }

  void check_channels(const PreparedCase& one) const {
    const auto expected = settings_.network.at("in_channels").get<int64_t>();
    require(one.image_CIJK.size(0) == expected, "case ", one.id, " has ", one.image_CIJK.size(0),
            " channels, but network.in_channels is ", expected);
  }

  void make_or_load() {
    // A run that was stopped before its first state starts over, which gives the same as going on.
    if (options_.resume && fs::exists(path("last.safetensors"))) {
      Model last = load_last(options_.folder, options_.device, at_);
      Json plan =
          task_.plan;  // settings that a run of an older program does not hold stand at their defaults
      plan.update(last.info.plan);
      require(last.info.network == settings_.network && plan == task_.plan, options_.folder,
              ": the network or the plan of the recipe is not that of the run to be resumed");
      network_ = last.network;
      machine_before_ = last.info.history.value("machine", machine());
      optimizer_ = make_optimizer(settings_.training, *network_);
      load_moments(options_.folder, last, *optimizer_);
      remove_moments(options_.folder,
                     last.info.history["moments"]);  // older ones, if it ended before it could
    } else {
      torch::manual_seed(settings_.training.seed);
      network_ = make_network(settings_.network);
      network_->to(options_.device);
      optimizer_ = make_optimizer(settings_.training, *network_);
    }
    if (const std::string why = network_->misfit(task_.input_edges); !why.empty())
      throw UsageError(concat("setting plan.", settings_.task == "pictures" ? "size" : "patch",
                              " does not fit the network ", settings_.network.value("name", ""), ": ", why));
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
    if (machine_before_.is_null() || machine_before_ == machine()) return;
    const std::string note = concat("from here on on another processor, precision or number of threads (",
                                    machine().dump(), ", before ", machine_before_.dump(),
                                    "): the bits are no longer those of an uninterrupted run");
    write_line({{"event", "machine"}, {"machine", machine()}, {"before", machine_before_}, {"note", note}});
    if (options_.warn) options_.warn(note);
  }

  ModelInfo info() const {
    ModelInfo info;
    info.network = settings_.network;
    info.plan = task_.plan;
    info.recipe = to_json(settings_);
    info.history = {{"version", options_.version},
                    {"seed", settings_.training.seed},
                    {"machine", machine()},
                    {"epochs_trained", at_.epoch},
                    {"best_validation_dice", at_.best_dice}};
    return info;
  }

  void save() {
    journal_->sync();
    save_training_state(options_.folder, *network_, info(), at_, *optimizer_);
  }

  double set_rate(double epoch) {
    const double rate =
        learning_rate(settings_.schedule, settings_.training.learning_rate, epoch, settings_.training.epochs);
    set_learning_rate(*optimizer_, rate);
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
    return network_->forward(images);
  }

  /// One optimiser step: gradients of all its patches, averaged. Returns the sum of the patches' losses.
  double train_step(BatchStream& batches, const PlannedStep& step, double rate) {
    const TrainingSettings& training = settings_.training;
    torch::manual_seed(stream_of(stream_of(kStepStream, training.seed), static_cast<uint64_t>(at_.epoch),
                                 static_cast<uint64_t>(at_.step)));  // dropout and drop path
    optimizer_->zero_grad();
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
      const double norm = done < step.size() ? 0 : gradient_norm(*network_);
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
      for (torch::Tensor& parameter : network_->parameters())
        if (parameter.grad().defined()) parameter.mutable_grad().div_(scale);
    if (clip_norm > 0) torch::nn::utils::clip_grad_norm_(network_->parameters(), clip_norm);
    optimizer_->step();
    at_.loss_scale.keep();
  }

  /// Ends the run; the weights are still those before the step, so they are kept with the position.
  [[noreturn]] void stop_not_finite(const char* what, double value, const Batch& batch,
                                    const torch::Tensor& images) {
    std::string place = find_non_finite(*network_, [&] { forward(images); });
    if (place.empty()) place = "not found again when the step was repeated";
    std::string patches;
    for (const std::string& patch : batch.patches) patches += (patches.empty() ? "" : "; ") + patch;
    const bool kept = all_finite(*network_);
    if (kept) save();
    throw Error(concat("training stopped in epoch ", at_.epoch + 1, ", step ", at_.step + 1, ": the ", what,
                       " is ", value, "; ", place, "; patches: ", patches, "; ",
                       kept ? "the weights before this step are in " : "the last finite weights are in ",
                       path("last.safetensors"),
                       " (a lower training.learning_rate or training.clip_norm may help)"));
  }

  void train_epoch() {
    const auto start = Clock::now();
    const TrainingSettings& training = settings_.training;
    const auto steps = plan_epoch(samplers_, training.patches_per_step, training.seed, at_.epoch);
    int64_t total = 0;
    for (const PlannedStep& step : steps) total += static_cast<int64_t>(step.size());
    const int64_t patches_before = at_.patches;
    // A state may have been saved behind the last step: the epoch's line has the rate of that step.
    double rate =
        set_rate(static_cast<double>(at_.epoch) +
                 static_cast<double>(std::max<int64_t>(at_.step - 1, 0)) / static_cast<double>(steps.size()));
    waited_s_ = 0;
    {
      BatchStream batches(samplers_, steps, training.batch, at_.step, training.seed, at_.epoch,
                          {options_.threads, kBytesAhead});
      network_->train();
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
    bool best = validation_.empty();
    if (!validation_.empty() && (last || (epoch + 1) % settings_.training.validate_every == 0)) {
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
    write_file_atomically(path("curves.svg"), training_curves(read_epoch_lines(path("journal.jsonl"))));
    at_.epoch = epoch + 1;
    at_.step = at_.patches = 0;
    at_.loss_sum = 0;
    // First the best, then the state: killed between the two, the resumed run repeats the epoch and writes
    // the same best.
    if (best) save_model(path("best.safetensors"), *network_, info());
    save();
  }

  double validate(Json& line) {
    const auto start = Clock::now();
    network_->eval();
    std::vector<CaseDice> cases;
    for (const PreparedCase& one : validation_) {
      const auto predicted = task_.predict(*network_, one, options_.device);
      cases.push_back(dice_of(predicted, one.classes_IJK, task_.classes_of));
      if (options_.progress)
        options_.progress("validation", static_cast<int64_t>(cases.size()),
                          static_cast<int64_t>(validation_.size()));
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
  const RunSettings settings_;
  const Task task_;
  std::string precision_;
  std::optional<FolderLock> lock_;
  int64_t dataset_cases_ = 0;
  Json content_ = Json::object(),
       begun_content_ = Json::object();  ///< of each case: now, and of the run to be resumed
  Json machine_before_;                  ///< null for a run that begins
  SampleSources samplers_;
  std::vector<PreparedCase> validation_;
  std::vector<double> class_voxels_;
  std::unique_ptr<Loss> loss_;
  std::shared_ptr<Network> network_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  RunPosition at_;
  double waited_s_ = 0;  ///< of this epoch, for batches
  Journal* journal_ = nullptr;
};

}  // namespace

void remove_run(const std::string& folder) {
  if (!fs::is_directory(folder)) return;
  const FolderLock lock(folder);
  for (const char* name : kRunFiles) fs::remove(fs::path(folder) / name);
  fs::remove(fs::path(folder) / "curves.svg");
  remove_moments(folder, "");
}

TrainResult train(const TrainOptions& options) { return Trainer(options).run(); }

}  // namespace mambaseg
