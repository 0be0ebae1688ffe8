#pragma once

#include <optional>

#include "mambaseg/tasks/task.h"
#include "mambaseg/train/journal.h"
#include "mambaseg/train/run_folder.h"
#include "mambaseg/train/step.h"
#include "mambaseg/train/trainer.h"
#include "mambaseg/train/training_data.h"
#include "mambaseg/train/validation.h"

namespace mambaseg {

/// The epochs of a run: batches, steps, validation, the best model, the journal and the states that a run
/// goes on from.
class TrainingLoop {
 public:
  /// All are used, not copied; `state` stands where the run begins or goes on.
  TrainingLoop(const TrainOptions& options, const Task& task, const TrainingData& data,
               const RunFolder& folder, TrainingState& state, TrainingStep& step);

  /// Trains to the end of the last epoch. Throws Error when a loss or gradient is not finite, with the state
  /// before that step saved.
  TrainResult run();

 private:
  void write_line(const Json& line);
  void begin();
  void train_epoch();
  StepShare share_of(int64_t samples) const;
  StepReport take_step(BatchStream& batches, const StepShare& share, double epoch);
  void finish_epoch(Json line);
  double validate(Json& line);
  std::vector<CaseDice> validation_dice(Network& network);  ///< of each validation case
  void average_statistics();
  void save();
  [[noreturn]] void stop(const NotFinite& reason);

  const TrainOptions& options_;
  const TrainingSettings& settings_;
  const Task& task_;
  const LearnedLabels labels_;
  const TrainingData& data_;
  const RunFolder& folder_;
  TrainingState& state_;
  RunPosition& at_;  ///< of state_
  TrainingStep& step_;
  World& world_;
  std::optional<Journal> journal_;  ///< of the leading rank
};

}  // namespace mambaseg
