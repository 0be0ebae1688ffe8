#pragma once

#include "mambaseg/metrics/metric.h"

namespace mambaseg {

/// Mean distance, each surface element with the weight of its area; NaN for no elements.
double mean_distance(const WeightedDistances& distances);

/// The distance within which `fraction` of the area lies: the first element at which the running area reaches
/// it. Infinite for no elements.
double distance_quantile(const WeightedDistances& distances, double fraction);

/// Total area, and the area of elements not further than `tolerance_mm`.
double total_area(const WeightedDistances& distances);
double area_within(const WeightedDistances& distances, double tolerance_mm);

/// How many of the ascending distances are not larger than `tolerance_mm`.
int64_t count_within(const std::vector<double>& ascending, double tolerance_mm);

/// Percentile with linear interpolation between neighbours (numpy's default) of ascending values; NaN for
/// none.
double linear_percentile(const std::vector<double>& ascending, double percent);

}  // namespace mambaseg
