#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace mambaseg {

/// Agreement of two measurements of the same things (Bland and Altman 1986, "Statistical methods for
/// assessing agreement between two methods of clinical measurement"). d = a - b.
struct BlandAltman {
  int64_t n = 0;
  double bias = 0;                    ///< mean of d
  double sd = 0;                      ///< of d, with n - 1
  std::array<double, 2> bias_ci95{};  ///< Student's t
  std::array<double, 2> limits{};     ///< bias -+ 1.96 sd: 95 % of differences lie between
  double limit_error = 0;             ///< standard error of a limit, sqrt(3 sd^2 / n)
  double correlation = 0;             ///< Pearson's r of a and b; NaN when one of them never changes
  double percent_bias = 0;            ///< mean of 100 d / ((a + b) / 2), pairs that are both zero left out
};

/// Throws Error when the lengths differ, there are fewer than two pairs, or a value is not finite.
BlandAltman bland_altman(std::span<const double> a, std::span<const double> b);

}  // namespace mambaseg
