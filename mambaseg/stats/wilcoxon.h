#pragma once

#include <cstdint>
#include <span>

namespace mambaseg {

/// What the difference x - y is expected to be.
enum class Alternative { two_sided, greater, less };

/// What to do with differences of zero.
enum class ZeroMethod {
  wilcox,  ///< leave them out (Wilcoxon)
  pratt,   ///< rank them, then leave out their ranks (Pratt)
  zsplit,  ///< rank them and give half of their ranks to each side
};

/// How the p-value is found.
enum class NullDistribution {
  automatic,  ///< exact for up to 50 pairs without zero differences, else normal: SciPy 1.10's `auto`
  exact,   ///< distribution of the rank sum without ties, at the rank sum cut to a whole number; with zeros
           ///< normal
  normal,  ///< normal approximation with correction for ties (SciPy's `approx`)
  permutation,  ///< all sign changes of the ranks at hand: exact with ties and zeros too; above 200 pairs
                ///< normal
};

struct WilcoxonOptions {
  ZeroMethod zeros = ZeroMethod::wilcox;
  NullDistribution distribution = NullDistribution::automatic;
  Alternative alternative = Alternative::two_sided;
  bool continuity_correction = false;  ///< half a rank, normal approximation only
};

struct WilcoxonResult {
  int64_t pairs = 0;     ///< used: without zero differences unless they are ranked
  double w_plus = 0;     ///< rank sum of x > y
  double w_minus = 0;    ///< rank sum of x < y
  double statistic = 0;  ///< the smaller of the two, or w_plus for a one-sided test
  double p = 1;
  /// Matched-pairs rank-biserial correlation (w_plus - w_minus) / (w_plus + w_minus): 1 when x is larger in
  /// every pair (Kerby 2014). NaN when all differences are zero.
  double effect = 0;
};

/// Wilcoxon's signed-rank test of pairs x, y (1945, "Individual comparisons by ranking methods"). Throws
/// Error when the lengths differ or a value is not finite. Without any pair that differs p is 1.
WilcoxonResult wilcoxon(std::span<const double> x, std::span<const double> y,
                        const WilcoxonOptions& options = {});

}  // namespace mambaseg
