#include "mambaseg/train/loop.h"

#include <utility>

#include "mambaseg/core/clock.h"
#include "mambaseg/core/memory.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/nets/model/members.h"
#include "mambaseg/train/curves.h"
#include "mambaseg/train/nan_guard.h"

namespace mambaseg {
namespace {

constexpr int64_t kBytesAhead = int64_t{1} << 30;  // of batches that wait for the network

}  // namespace

TrainingLoop::TrainingLoop(const TrainOptions& options, const Task& task, const TrainingData& data,
                           const RunFolder& folder, TrainingState& state, TrainingStep& step)
    : options_(options),
      settings_(options.settings.training),
      task_(task),
      labels_(task.labels()),
      data_(data),
      folder_(folder),
      state_(state),
      at_(state.at),
      step_(step),
      world_(*options.world) {
  if (world_.leads()) journal_.emplace(folder.journal(), state.at.journal_bytes);
}

TrainResult TrainingLoop::run() {
  begin();
  while (at_.epoch < settings_.epochs) train_epoch();
  world_.said("");  // the meeting place stays until all are there
  return {folder_.best(), at_.best_dice, at_.best_epoch};
}

void TrainingLoop::write_line(const Json& line) {
  if (!journal_) return;
  journal_->write(line);
  at_.journal_bytes = journal_->bytes();
  if (options_.on_line) options_.on_line(line);
}

/// The lines of a run that begins, or that goes on elsewhere.
void TrainingLoop::begin() {
  const Json machine = step_.machine(), before = std::exchange(state_.machine, machine);
  if (at_.journal_bytes == 0)
    write_line({{"event", "start"},
                {"machine", machine},
                {"parameters", parameter_count(*state_.network)},
                {"training_cases", data_.samplers.size()},
                {"validation_cases", data_.validation.size()}});
  if (before.is_null() || before == machine) return;
  const std::string note =
      concat("from here on on another processor, precision or number of threads (", machine.dump(),
             ", before ", before.dump(), "): the bits are no longer those of an uninterrupted run");
  write_line({{"event", "machine"}, {"machine", machine}, {"before", before}, {"note", note}});
  if (options_.warn) options_.warn(note);
}

void TrainingLoop::train_epoch() {
  const auto start = Clock::now();
  const auto steps = plan_epoch(data_.samplers, settings_.patches_per_step, settings_.seed, at_.epoch);
  const auto count = static_cast<int64_t>(steps.size());
  const auto time_of = [&](int64_t step) {
    return static_cast<double>(at_.epoch) + static_cast<double>(step) / static_cast<double>(count);
  };
  int64_t total = 0;
  std::vector<StepShare> shares;
  std::vector<PlannedStep> mine;
  int64_t begin = 0;  // of mine: where the step at_.step begins
  for (const PlannedStep& step : steps) {
    const StepShare share = share_of(static_cast<int64_t>(step.size()));
    if (std::cmp_equal(shares.size(), at_.step)) begin = static_cast<int64_t>(mine.size());
    mine.emplace_back(step.begin() + share.first, step.begin() + share.first + share.count);
    for (int64_t i = 0; i < share.idle; ++i) mine.push_back({step.front()});
    shares.push_back(share);
    total += share.total;
  }
  const int64_t patches_before = at_.patches;
  double waited_s = 0;
  {
    BatchStream batches(data_.samplers, mine, settings_.batch, begin, settings_.seed, at_.epoch,
                        {options_.threads, kBytesAhead}, options_.device);
    state_.network->train();
    const std::string what = concat("epoch ", at_.epoch + 1, "/", settings_.epochs);
    while (at_.step < count) {
      const StepShare& share = shares[static_cast<size_t>(at_.step)];
      const StepReport report = take_step(batches, share, time_of(at_.step));
      waited_s += report.waited_s;
      at_.loss_sum += report.loss_sum;
      at_.patches += share.total;
      ++at_.step;
      ++at_.total_steps;
      if (settings_.save_every_steps > 0 && at_.total_steps % settings_.save_every_steps == 0) {
        average_statistics();
        save();
      }
      if (options_.progress) options_.progress(what, at_.patches, total);
    }
  }
  const double elapsed_s = seconds_since(start);
  finish_epoch({{"event", "epoch"},
                {"epoch", at_.epoch},
                {"loss", at_.loss_sum / static_cast<double>(total)},
                {"learning_rate", step_.rate_at(time_of(count - 1))},
                {"seconds", elapsed_s},
                {"waited_for_data_s", waited_s},
                {"patches_per_s", static_cast<double>(at_.patches - patches_before) / elapsed_s}});
}

/// With synchronised batch norms all ranks have as many batches, since each of them waits for the others.
StepShare TrainingLoop::share_of(int64_t samples) const {
  const auto [first, last] = world_.share(samples);
  StepShare share{first, last - first, samples};
  const auto batches = [&](int64_t count) { return (count + settings_.batch - 1) / settings_.batch; };
  if (settings_.synchronise_batch_norm)
    share.idle = batches((samples + world_.size() - 1) / world_.size()) - batches(share.count);
  return share;
}

StepReport TrainingLoop::take_step(BatchStream& batches, const StepShare& share, double epoch) {
  StepReport report;
  try {
    report = step_.take(batches, share, epoch);
  } catch (const NotFinite& reason) {
    stop(reason);
  } catch (const RankLost&) {
    save();
    throw;
  }
  Json line = {{"event", "step"},
               {"epoch", at_.epoch},
               {"step", at_.step},
               {"loss", report.loss_sum / static_cast<double>(share.total)},
               {"learning_rate", report.learning_rate}};
  if (report.loss_scale != 1) line["loss_scale"] = report.loss_scale;
  if (report.left_out) line["left_out"] = true;
  write_line(line);
  return report;
}

/// The weights are still those before the step, so they are kept with the position.
void TrainingLoop::stop(const NotFinite& reason) {
  const bool kept = all_finite(*state_.network);
  if (kept) save();
  throw Error(concat("training stopped in epoch ", at_.epoch + 1, ", step ", at_.step + 1, ": ",
                     reason.what(), "; ",
                     kept ? "the weights before this step are in " : "the last finite weights are in ",
                     folder_.last(), " (a lower training.learning_rate or training.clip_norm may help)"));
}

void TrainingLoop::finish_epoch(Json line) {
  average_statistics();
  const int64_t epoch = at_.epoch;
  const bool validates = !data_.validation.empty();
  const bool last = epoch + 1 == settings_.epochs;
  bool best = !validates;
  if (validates && (last || (epoch + 1) % settings_.validate_every == 0)) {
    const double dice = validate(line);
    const double kept = at_.average_dice < 0 ? 0 : settings_.validation_average;
    at_.average_dice = kept * at_.average_dice + (1 - kept) * dice;
    line["validation"]["average_dice"] = at_.average_dice;
    best = at_.average_dice > at_.best_dice;
    if (best) at_.best_dice = at_.average_dice;
  }
  if (best) at_.best_epoch = epoch;
  line["best_epoch"] = at_.best_epoch;
  line["peak_memory_mib"] = static_cast<double>(peak_memory_bytes()) / (1 << 20);
  write_line(line);
  if (world_.leads())
    write_file_atomically(folder_.curves(), training_curves(read_epoch_lines(folder_.journal())));
  at_.epoch = epoch + 1;
  at_.step = at_.patches = 0;
  at_.loss_sum = 0;
  // First the best, then the state: killed between the two, the resumed run repeats the epoch and writes
  // the same best.
  if (best) folder_.save_best(state_);
  save();
}

double TrainingLoop::validate(Json& line) {
  const auto start = Clock::now();
  Network& network = state_.judged();
  network.eval();
  const std::vector<CaseDice> cases = validation_dice(network);
  const double mean = mean_dice(cases);
  Json by_class = Json::object(), by_member = Json::object();
  const CaseDice means = class_means(cases);
  for (size_t k = 0; k < means.size(); ++k)
    by_class[labels_.structures[k]] = means[k] ? Json(*means[k]) : Json();
  for (const auto& [name, member] : members_of(network))
    by_member[name] = mean_dice(validation_dice(*member));
  line["validation"] = {{"dice", mean}, {"classes", by_class}, {"seconds", seconds_since(start)}};
  if (!by_member.empty()) line["validation"]["members"] = by_member;
  return mean;
}

/// Each rank predicts some of them.
std::vector<CaseDice> TrainingLoop::validation_dice(Network& network) {
  const auto [first, last] = world_.share(static_cast<int64_t>(data_.validation.size()));
  Json mine = Json::array();
  for (int64_t i = first; i < last; ++i) {
    const PreparedCase& one = data_.validation[static_cast<size_t>(i)];
    const auto predicted = task_.predict(network, one, options_.device);
    Json dice = Json::array();
    for (const auto& of_structure : dice_of(predicted, one.classes_IJK, labels_.classes_of))
      dice.push_back(of_structure ? Json(*of_structure) : Json());
    mine.push_back(dice);
    if (options_.progress) options_.progress("validation", i + 1 - first, last - first);
  }
  std::vector<CaseDice> cases;
  for (const std::string& part : world_.said(mine.dump()))  // JSON's digits bring a double back as it was
    for (const Json& dice : Json::parse(part)) {
      cases.emplace_back();
      for (const Json& of_structure : dice)
        cases.back().push_back(of_structure.is_null() ? std::nullopt
                                                      : std::optional(of_structure.get<double>()));
    }
  return cases;
}

/// The statistics of batch norms, which each rank has of its own samples.
void TrainingLoop::average_statistics() {
  if (world_.alone()) return;
  const torch::NoGradGuard no_grad;
  for (const auto& network : {state_.network, state_.average}) {
    if (!network) continue;
    for (torch::Tensor buffer : network->buffers())
      if (buffer.is_floating_point()) {
        world_.finish(*world_.begin_sum(buffer));
        buffer.div_(world_.size());
      }
  }
}

void TrainingLoop::save() {
  if (journal_) journal_->sync();
  folder_.save_last(state_);
}

}  // namespace mambaseg
