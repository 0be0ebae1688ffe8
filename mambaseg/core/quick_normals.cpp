#include "mambaseg/core/quick_normals.h"

#include <cmath>
#include <numbers>
#include <vector>

namespace mambaseg {
namespace {

constexpr int kCount = 65536;

/// Quantile i is that of the probability (i + 1/2) / 65536: from the middle up by Newton's method, each
/// beginning at the one before; the lower half is the upper one mirrored.
std::vector<float> normal_quantiles() {
  std::vector<float> out(kCount);
  double z = 0;
  for (int i = kCount / 2; i < kCount; ++i) {
    const double above = (kCount - i - 0.5) / kCount;
    for (int step = 0; step < 8; ++step) {
      const double excess = 0.5 * std::erfc(z / std::numbers::sqrt2) - above;
      z += excess / (std::exp(-0.5 * z * z) / std::sqrt(2 * std::numbers::pi));
    }
    out[static_cast<size_t>(i)] = static_cast<float>(z);
    out[static_cast<size_t>(kCount - 1 - i)] = static_cast<float>(-z);
  }
  return out;
}

}  // namespace

QuickNormals::QuickNormals(Random& random) : random_(random) {
  static const std::vector<float> quantiles = normal_quantiles();
  quantiles_ = quantiles.data();
}

}  // namespace mambaseg
