#include "mambaseg/stats/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "mambaseg/core/random.h"
#include "mambaseg/stats/describe.h"
#include "mambaseg/stats/distributions.h"

namespace mambaseg {

std::array<double, 2> bootstrap_mean(std::span<const double> values, const BootstrapOptions& options) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const auto n = int64_t(values.size());
  if (n < 2) return {kNone, kNone};
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / double(n);
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  if (*least == *most) return {mean, mean};

  Random random(options.seed);
  std::vector<double> means(static_cast<size_t>(options.resamples));
  int64_t below = 0, level = 0;
  for (double& resampled : means) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += values[size_t(random.below(n))];
    resampled = sum / double(n);
    below += resampled < mean;
    level += resampled == mean;
  }
  std::sort(means.begin(), means.end());

  // Bias: where the estimate lies among the resamples. Acceleration: skewness of the jackknife means.
  const auto count = double(options.resamples);
  const double share =
      std::clamp((double(below) + 0.5 * double(level)) / count, 0.5 / count, 1 - 0.5 / count);
  const double bias = normal_quantile(share);
  double squares = 0, cubes = 0;
  for (const double v : values) {
    const double d = (v - mean) / double(n - 1);  // mean of the jackknife means minus the one without v
    squares += d * d;
    cubes += d * d * d;
  }
  const double acceleration = cubes / (6 * std::pow(squares, 1.5));
  const auto end_point = [&](double p) {
    const double z = bias + normal_quantile(p);
    const double adjusted = 1 - normal_upper_tail(bias + z / (1 - acceleration * z));
    return quantile(means, adjusted);
  };
  const double tail = (1 - options.confidence) / 2;
  return {end_point(tail), end_point(1 - tail)};
}

}  // namespace mambaseg
