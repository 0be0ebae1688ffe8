#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace mambaseg {

struct BootstrapOptions {
  int64_t resamples = 10000;
  double confidence = 0.95;
  uint64_t seed = 0;
};

/// Confidence interval of the mean by the bias-corrected and accelerated bootstrap (Efron 1987, "Better
/// bootstrap confidence intervals"), repeatable for a seed. Both NaN for fewer than two values; the value
/// twice when all are equal.
std::array<double, 2> bootstrap_mean(std::span<const double> values, const BootstrapOptions& options = {});

}  // namespace mambaseg
