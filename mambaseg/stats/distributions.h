#pragma once

namespace mambaseg {

/// Probability that a standard normal variable exceeds z.
double normal_upper_tail(double z);
/// The z below which a standard normal variable lies with probability p (0 < p < 1).
double normal_quantile(double p);
/// The t below which a variable with Student's distribution of `degrees` > 0 lies with probability p (0 < p <
/// 1).
double student_t_quantile(double p, double degrees);

}  // namespace mambaseg
