#pragma once

#include <cstdint>
#include <span>

namespace mambaseg {

/// Location and spread of a sample; all NaN for an empty one, `sd` NaN for a single value.
struct Description {
  int64_t n = 0;
  double mean, sd;  ///< sd with n - 1
  double min, q1, median, q3, max;
};

Description describe(std::span<const double> values);

/// The value below which `fraction` (0 to 1) of the sample lies, linear between neighbours (numpy's default;
/// Hyndman and Fan 1996, type 7). `sorted` ascending; NaN when it is empty.
double quantile(std::span<const double> sorted, double fraction);

}  // namespace mambaseg
