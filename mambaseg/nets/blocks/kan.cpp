#include "mambaseg/nets/blocks/kan.h"

#include <cmath>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr double kNoise = 0.1;  // splines start as noise of this size / intervals

/// The knots: -1 + (i - order) * h.
torch::Tensor knots(int64_t intervals, int64_t order) {
  return torch::arange(-order, intervals + order + 1).to(torch::kFloat) *
             (2.0 / static_cast<double>(intervals)) -
         1;
}

/// Basis functions at x (..., in), by the recursion of Cox and de Boor: (..., in, intervals + order).
torch::Tensor basis(const torch::Tensor& x, const torch::Tensor& grid, int64_t order) {
  const torch::Tensor at = x.unsqueeze(-1);
  const auto knot = [&](int64_t first, int64_t count) { return grid.narrow(1, first, count); };
  const int64_t all = grid.size(1);
  torch::Tensor b = ((at >= knot(0, all - 1)) & (at < knot(1, all - 1))).to(x.scalar_type());
  for (int64_t k = 1; k <= order; ++k) {
    const int64_t count = all - 1 - k;
    const torch::Tensor rising = (at - knot(0, count)) / (knot(k, count) - knot(0, count));
    const torch::Tensor falling = (knot(k + 1, count) - at) / (knot(k + 1, count) - knot(1, count));
    b = rising * b.narrow(-1, 0, count) + falling * b.narrow(-1, 1, count);
  }
  return b;
}

}  // namespace

KanLinear::KanLinear(int64_t in, int64_t out, int64_t intervals, int64_t order) : order_(order) {
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  base_weight_ = register_parameter("base_weight", torch::empty({out, in}).uniform_(-bound, bound));
  // The splines that fit noise at the inner knots best.
  const torch::Tensor all = knots(intervals, order), inner = all.narrow(0, order, intervals + 1);
  const torch::Tensor fit = torch::linalg_pinv(basis(inner.unsqueeze(1), all.unsqueeze(0), order).squeeze(1));
  const torch::Tensor noise =
      (torch::rand({intervals + 1, out * in}) - 0.5) * (kNoise / static_cast<double>(intervals));
  spline_weight_ =
      register_parameter("spline_weight", torch::matmul(fit, noise).t().reshape({out, in, -1}).contiguous());
  spline_scaler_ = register_parameter("spline_scaler", torch::empty({out, in}).uniform_(-bound, bound));
  grid_ = register_buffer("grid", all.unsqueeze(0).repeat({in, 1}));
}

torch::Tensor KanLinear::forward(const torch::Tensor& x) {
  const torch::Tensor wide = x.to(grid_.scalar_type());
  const torch::Tensor splines = spline_weight_ * spline_scaler_.unsqueeze(-1);
  return (torch::matmul(torch::silu(wide), base_weight_.t()) +
          torch::matmul(basis(wide, grid_, order_).flatten(-2), splines.flatten(1).t()))
      .to(x.scalar_type());
}

GroupRational::GroupRational()
    : numerator_(register_parameter("weight_numerator", torch::tensor({{-0.00153969, 0.51692871, 0.44075827,
                                                                        0.0972553, -0.00884418, -0.00378675}},
                                                                      torch::kFloat))),
      denominator_(register_parameter(
          "weight_denominator",
          torch::tensor({{-0.14171056, -0.06481231, -0.0444695, 0.01283776}}, torch::kFloat)
              .repeat({kGroups, 1}))) {}

torch::Tensor GroupRational::forward(const torch::Tensor& x) {
  require(x.size(-1) % kGroups == 0, "rational functions: expected a multiple of ", kGroups,
          " channels, got ", x.size(-1));
  std::vector<int64_t> grouped = x.sizes().vec();
  grouped.back() = kGroups;
  grouped.push_back(x.size(-1) / kGroups);
  const torch::Tensor y = x.to(numerator_.scalar_type()).reshape(grouped), size = y.abs();
  torch::Tensor P = numerator_.select(1, 5), Q = denominator_.select(1, 3).abs().unsqueeze(1);
  for (int64_t i = 4; i >= 0; --i) P = P * y + numerator_.select(1, i);
  for (int64_t i = 2; i >= 0; --i) Q = Q * size + denominator_.select(1, i).abs().unsqueeze(1);
  return (P / (Q * size + 1)).reshape(x.sizes()).to(x.scalar_type());
}

}  // namespace mambaseg
