#include "mambaseg/stats/describe.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace mambaseg {

double quantile(std::span<const double> sorted, double fraction) {
  if (sorted.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double place = fraction * double(sorted.size() - 1);
  const auto below = size_t(place);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double a = sorted[below], b = sorted[below + 1];
  const double t = place - double(below);
  return t < 0.5 ? a + (b - a) * t : b - (b - a) * (1 - t);  // numpy's rounding
}

Description describe(std::span<const double> values) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  Description d{int64_t(values.size()), kNone, kNone, kNone, kNone, kNone, kNone, kNone};
  if (values.empty()) return d;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  d.mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / double(d.n);
  double squares = 0;
  for (const double v : sorted) squares += (v - d.mean) * (v - d.mean);
  if (d.n > 1) d.sd = std::sqrt(squares / double(d.n - 1));
  d.min = sorted.front();
  d.q1 = quantile(sorted, 0.25);
  d.median = quantile(sorted, 0.5);
  d.q3 = quantile(sorted, 0.75);
  d.max = sorted.back();
  return d;
}

}  // namespace mambaseg
