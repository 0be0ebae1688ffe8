#pragma once

#include "mambaseg/config/config.h"

namespace mambaseg {

/// How the learning rate changes while training goes on.
struct ScheduleSettings {
  std::string kind = "cosine_restarts";
  double first_period = 10;
  double period_factor = 2;
  double minimum = 0;
  double power = 0.9;
  bool every_step = false;
  double warmup = 0;

  void describe(SettingsVisitor& visit) {
    visit(
        "kind", kind,
        "cosine_restarts: cosine annealing with warm restarts; cosine: it rises again as it fell; poly: (1 - "
        "progress)^power; constant",
        one_of({"cosine_restarts", "cosine", "poly", "constant"}));
    visit("first_period", first_period,
          "epochs, cosine_restarts: until the first restart (T_0); cosine: until the lowest rate (T_max)",
          at_least(1e-6));
    visit("period_factor", period_factor, "cosine_restarts: each period is this much longer (T_mult)",
          at_least(1));
    visit("minimum", minimum, "cosine_restarts, cosine: lowest learning rate (eta_min)", at_least(0));
    visit("power", power, "poly: the exponent", at_least(0));
    visit("every_step", every_step, "the rate changes with every step, else once an epoch");
    visit("warmup", warmup, "epochs in which the rate grows from 0, on top of the schedule", at_least(0));
  }
};

/// Learning rate at `epoch` (0 at the start, 1.5 in the middle of the second epoch) of `epochs`. A formula of
/// the time, without state. Cosine: minimum + (base - minimum) (1 + cos(pi t / T)) / 2, t epochs after the
/// last restart, T length of the period (Loshchilov & Hutter 2017); without restarts t goes on, as in
/// PyTorch's CosineAnnealingLR.
double learning_rate(const ScheduleSettings& settings, double base, double epoch, int64_t epochs);

}  // namespace mambaseg
