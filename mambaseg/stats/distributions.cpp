#include "mambaseg/stats/distributions.h"

#include <cmath>
#include <initializer_list>
#include <limits>
#include <numbers>

namespace mambaseg {
namespace {

/// Regularised incomplete beta function I_x(a, b) by its continued fraction (Lentz; Abramowitz and
/// Stegun 26.5.8).
double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x)) /
      a;
  constexpr double kTiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  if (std::abs(d) < kTiny) d = kTiny;
  d = 1 / d;
  double value = d;
  for (int m = 1; m < 10000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double step = 1;
    for (const double term : {even, odd}) {
      d = 1 + term * d;
      c = 1 + term / c;
      if (std::abs(d) < kTiny) d = kTiny;
      if (std::abs(c) < kTiny) c = kTiny;
      d = 1 / d;
      step = c * d;
      value *= step;
    }
    if (std::abs(step - 1) < 1e-15) break;
  }
  return front * value;
}

/// P(T > t) for t >= 0.
double student_t_upper_tail(double t, double degrees) {
  return 0.5 * incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t));
}

/// The root of a falling function between low and high, to the last bits.
template <class Function>
double bisect(double low, double high, const Function& falling) {
  for (int step = 0; step < 2000; ++step) {
    const double middle = 0.5 * (low + high);
    if (middle <= low || middle >= high) break;
    (falling(middle) > 0 ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

}  // namespace

double normal_upper_tail(double z) { return 0.5 * std::erfc(z / std::numbers::sqrt2); }

double normal_quantile(double p) {
  if (p == 0.5) return 0;
  if (p < 0.5) return -normal_quantile(1 - p);
  return bisect(0, 40, [&](double z) { return normal_upper_tail(z) - (1 - p); });
}

double student_t_quantile(double p, double degrees) {
  if (p == 0.5) return 0;
  if (p < 0.5) return -student_t_quantile(1 - p, degrees);
  double high = 1;
  while (student_t_upper_tail(high, degrees) > 1 - p) high *= 2;
  return bisect(0, high, [&](double t) { return student_t_upper_tail(t, degrees) - (1 - p); });
}

}  // namespace mambaseg
