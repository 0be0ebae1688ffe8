#include "mambaseg/infer/importance.h"

#include <cmath>

namespace mambaseg {

torch::Tensor gaussian_importance(const std::vector<int64_t>& size, double fraction, double peak,
                                  torch::ScalarType type) {
  constexpr double kCut = 4;
  torch::Tensor out = torch::full({}, peak, torch::kFloat64);
  for (const int64_t edge : size) {
    const double sigma = fraction * static_cast<double>(edge);
    const double radius = std::floor(kCut * sigma + 0.5);
    const torch::Tensor distance = torch::arange(edge, torch::kFloat64) - static_cast<double>(edge / 2);
    const torch::Tensor bell =
        torch::exp(-0.5 * distance.square() / (sigma * sigma)) * (distance.abs() <= radius);
    out = out.unsqueeze(-1) * bell;
  }
  out = out.to(type).to(torch::kFloat64);  // as rounded, but with the arithmetic of doubles
  return torch::where(out == 0, out.masked_select(out != 0).min(), out).to(type);
}

}  // namespace mambaseg
