#pragma once

#include <memory>
#include <string>

#include <torch/optim/optimizer.h>
#include <torch/types.h>

#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/train/loss_scale.h"

namespace mambaseg {

/// Where a run stands between two optimiser steps; with the weights and the optimiser's moments all that is
/// needed to go on as if nothing had happened (random numbers are formulas of seed, epoch, step).
struct RunPosition {
  int64_t epoch = 0;        ///< epoch that goes on, from 0
  int64_t step = 0;         ///< its next step
  int64_t total_steps = 0;  ///< steps since the start of the run
  double loss_sum = 0;      ///< of the patches of this epoch so far
  int64_t patches = 0;      ///< of this epoch so far
  double best_dice = -1;
  int64_t best_epoch = -1;
  double average_dice = -1;  ///< moving average of the validation Dice, -1 before the first
  int64_t journal_bytes = 0;
  LossScale loss_scale;

  void describe(SettingsVisitor& visit) {
    visit("epoch", epoch, "epoch that goes on");
    visit("step", step, "its next step");
    visit("total_steps", total_steps, "steps so far");
    visit("loss_sum", loss_sum, "sum of the losses of this epoch's patches");
    visit("patches", patches, "patches of this epoch so far");
    visit("best_dice", best_dice, "best validation Dice");
    visit("best_epoch", best_epoch, "its epoch");
    visit("average_dice", average_dice, "moving average of the validation Dice");
    visit("journal_bytes", journal_bytes, "length of the journal");
    visit("loss_scale", loss_scale, "factor of the loss");
  }
};

/// A network that is being trained.
struct TrainingState {
  std::shared_ptr<Network> network;
  std::shared_ptr<Network> average;  ///< moving average of its weights; null without training.ema
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  RunPosition at;
  /// What validates and is kept as the best.
  Network& judged() const { return average ? *average : *network; }
  Json machine;  ///< what computed it (TrainingStep::machine); null: nothing yet, or not known
};

/// Writes FOLDER/last.safetensors (weights, and the position in its history) and the optimiser's moments in a
/// file of their own that last.safetensors names. The moments are written first, under a new name, so that
/// whenever the process dies last.safetensors names moments that belong to it; older moments are removed at
/// the end.
void save_training_state(const std::string& folder, const TrainingState& state, ModelInfo info);

/// Removes the files of moments in `folder`, but for that of the name `but`.
void remove_moments(const std::string& folder, const std::string& but);

/// Reads FOLDER/last.safetensors. Throws Error when there is none or it is no state of a run.
Model load_last(const std::string& folder, torch::Device device, RunPosition& position);

/// Reads what belongs to `last` into the optimiser of `state`, whose network is last.network, and into its
/// average where it has one. Without one on disk the average begins with the weights.
void load_moments(const std::string& folder, const Model& last, TrainingState& state);

/// `average` = share * average + (1 - share) * `network`, of parameters and of the statistics of batch norms;
/// numbers of steps are taken as they are. Early on less of the old is kept: (1 + steps) / (10 + steps).
void update_average(Network& average, const Network& network, double share, int64_t steps);

/// An average that begins with the weights of `network`, which `settings` describe; null without
/// training.ema.
std::shared_ptr<Network> first_average(double ema, const Json& settings, const Network& network,
                                       torch::Device device);

}  // namespace mambaseg
