#include "mambaseg/metrics/distance_sums.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace mambaseg {

namespace {

/// Pairwise sum in numpy's order: quantiles compare running shares with a fraction, and a share that meets it
/// exactly must do so here as well.
double pairwise_sum(const double* values, size_t count) {
  if (count < 8) return std::accumulate(values, values + count, 0.0);
  if (count > 128) {
    const size_t half = count / 2 - count / 2 % 8;
    return pairwise_sum(values, half) + pairwise_sum(values + half, count - half);
  }
  double lane[8];
  std::copy_n(values, 8, lane);
  size_t at = 8;
  for (; at + 8 <= count; at += 8)
    for (size_t l = 0; l < 8; ++l) lane[l] += values[at + l];
  const double sum =
      ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
  return std::accumulate(values + at, values + count, sum);
}

}  // namespace

double total_area(const WeightedDistances& distances) {
  return pairwise_sum(distances.area.data(), distances.area.size());
}

double mean_distance(const WeightedDistances& distances) {
  return std::inner_product(distances.area.begin(), distances.area.end(), distances.distance_mm.begin(),
                            0.0) /
         total_area(distances);
}

double distance_quantile(const WeightedDistances& distances, double fraction) {
  if (distances.distance_mm.empty()) return std::numeric_limits<double>::infinity();
  const double total = total_area(distances);
  double running = 0;
  for (size_t e = 0; e < distances.area.size(); ++e) {
    running += distances.area[e];
    if (running / total >= fraction) return distances.distance_mm[e];
  }
  return distances.distance_mm.back();
}

double area_within(const WeightedDistances& distances, double tolerance_mm) {
  double area = 0;
  for (size_t e = 0; e < distances.area.size() && distances.distance_mm[e] <= tolerance_mm; ++e)
    area += distances.area[e];
  return area;
}

int64_t count_within(const std::vector<double>& ascending, double tolerance_mm) {
  return std::upper_bound(ascending.begin(), ascending.end(), tolerance_mm) - ascending.begin();
}

double linear_percentile(const std::vector<double>& ascending, double percent) {
  if (ascending.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double place = percent / 100 * double(ascending.size() - 1);
  const auto below = size_t(place);
  if (below + 1 >= ascending.size()) return ascending.back();
  return ascending[below] + (place - double(below)) * (ascending[below + 1] - ascending[below]);
}

}  // namespace mambaseg
