#include "mambaseg/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mambaseg {

double learning_rate(const ScheduleSettings& settings, double base, double epoch, int64_t epochs) {
  const double time = settings.every_step ? epoch : std::floor(epoch);
  double rate = base;
  if (settings.kind == "poly") {
    rate = base * std::pow(std::max(0.0, 1 - time / static_cast<double>(epochs)), settings.power);
  } else if (settings.kind != "constant") {
    double since = time, period = settings.first_period;
    while (settings.kind == "cosine_restarts" && since >= period) {
      since -= period;
      period *= settings.period_factor;
    }
    rate =
        settings.minimum + (base - settings.minimum) * (1 + std::cos(std::numbers::pi * since / period)) / 2;
  }
  return epoch < settings.warmup ? rate * epoch / settings.warmup : rate;
}

}  // namespace mambaseg
