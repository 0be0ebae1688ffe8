#include "mambaseg/stats/bland_altman.h"

#include <cmath>
#include <numeric>

#include "mambaseg/core/error.h"
#include "mambaseg/stats/distributions.h"

namespace mambaseg {

BlandAltman bland_altman(std::span<const double> a, std::span<const double> b) {
  require(a.size() == b.size(), "Bland-Altman: expected pairs, got ", a.size(), " and ", b.size(), " values");
  require(a.size() >= 2, "Bland-Altman: expected at least two pairs, got ", a.size());
  BlandAltman out;
  out.n = int64_t(a.size());
  const auto n = double(out.n);
  int64_t with_size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    require(std::isfinite(a[i]) && std::isfinite(b[i]), "Bland-Altman: pair ", i + 1, " is not finite");
    out.bias += (a[i] - b[i]) / n;
    const double mean = 0.5 * (a[i] + b[i]);
    if (mean == 0) continue;
    ++with_size;
    out.percent_bias += 100 * (a[i] - b[i]) / mean;
  }
  out.percent_bias /= double(with_size);
  const double mean_a = std::reduce(a.begin(), a.end()) / n, mean_b = std::reduce(b.begin(), b.end()) / n;
  double squares = 0, squares_a = 0, squares_b = 0, products = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    squares += std::pow(a[i] - b[i] - out.bias, 2);
    squares_a += std::pow(a[i] - mean_a, 2);
    squares_b += std::pow(b[i] - mean_b, 2);
    products += (a[i] - mean_a) * (b[i] - mean_b);
  }
  out.correlation = products / std::sqrt(squares_a * squares_b);
  out.sd = std::sqrt(squares / (n - 1));
  const double half = student_t_quantile(0.975, n - 1) * out.sd / std::sqrt(n);
  out.bias_ci95 = {out.bias - half, out.bias + half};
  out.limits = {out.bias - 1.96 * out.sd, out.bias + 1.96 * out.sd};
  out.limit_error = std::sqrt(3 * out.sd * out.sd / n);
  return out;
}

}  // namespace mambaseg
