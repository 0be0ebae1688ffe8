#pragma once

#include <string>

#include <torch/types.h>

#include "mambaseg/losses/loss.h"
#include "mambaseg/train/batches.h"
#include "mambaseg/train/gradient_sums.h"
#include "mambaseg/train/run.h"
#include "mambaseg/train/training_state.h"
#include "mambaseg/train/world.h"

namespace mambaseg {

/// The precision that training computes in here, by precision_on: fp32 for bf16 on a processor that has none,
/// so that a run that began elsewhere goes on. UsageError for fp16 and tf32 without CUDA.
std::string training_precision(const TrainingSettings& settings, torch::Device device);

/// What an optimisation step has to say.
struct StepReport {
  double loss_sum = 0;       ///< of its samples, on all ranks
  double learning_rate = 0;  ///< by the schedule
  double loss_scale = 1;     ///< the factor that the loss had
  bool left_out = false;     ///< a gradient did not fit the half precision: the weights are as they were
  double waited_s = 0;       ///< for batches
};

/// The loss or a gradient of a step is NaN or infinite. The message names the module and the patches.
class NotFinite : public Error {
 public:
  using Error::Error;
};

/// The optimisation steps of a run: what happens to the weights between two positions.
class TrainingStep {
 public:
  /// All but `precision` (see training_precision) is used, not copied.
  TrainingStep(TrainingState& state, const Loss& loss, const RunSettings& settings, std::string precision,
               torch::Device device, World& world);

  /// Averages the gradients of the samples of a step, of which `share` come next out of `batches` and the
  /// others are those of the other ranks, scales, checks and clips them, and changes the weights and the
  /// scale of the loss; moves the position no further. `epoch`: the time by which the learning rate is
  /// set, 1.5 in the middle of the second epoch. Throws NotFinite and RankLost before the weights change, and
  /// Error when a GPU's memory does not hold a batch.
  StepReport take(BatchStream& batches, const StepShare& share, double epoch);

  /// The learning rate at that time.
  double rate_at(double epoch) const;

  /// What the bits of a step depend on besides the program and the recipe.
  Json machine() const;

 private:
  /// What is known of a batch when its loss is on the way.
  struct Underway {
    torch::Tensor loss;
    Batch batch;
  };
  /// The gradients of the samples, added up; returns the last batch.
  Batch add_gradients(BatchStream& batches, const StepShare& share, StepReport& report);
  void seed_paths(int64_t sample) const;
  void read_losses(std::vector<Underway>& underway, StepReport& report) const;
  std::vector<torch::Tensor> forward(const torch::Tensor& images) const;
  /// forward with the batch norms that the settings want; `counts`: SynchronisedBatchNorms.
  std::vector<torch::Tensor> forward_among_ranks(const torch::Tensor& images, bool counts) const;
  void keep_ranks_company(BatchStream& batches, const StepShare& share);
  torch::Tensor loss_of(const std::vector<torch::Tensor>& outputs, const torch::Tensor& classes) const;
  void change_weights();
  [[noreturn]] void stop(const char* what, double value, const Batch& batch) const;

  TrainingState& state_;
  const Loss& loss_;
  const TrainingSettings& settings_;
  const ScheduleSettings& schedule_;
  const std::string precision_;
  const torch::Device device_;
  World& world_;
  GradientSums sums_;
};

}  // namespace mambaseg
