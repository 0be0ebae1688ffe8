#pragma once

#include <span>
#include <vector>

namespace mambaseg {

/// p-values adjusted for being many (Holm 1979, "A simple sequentially rejective multiple test procedure"):
/// an adjusted value below alpha keeps the chance of any false finding below alpha. NaN values are no tests
/// and stay NaN.
std::vector<double> holm(std::span<const double> p);

}  // namespace mambaseg
