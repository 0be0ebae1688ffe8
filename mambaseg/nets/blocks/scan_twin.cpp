#include "mambaseg/nets/blocks/scan_twin.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/depthwise_conv.h"

namespace mambaseg {
namespace {

constexpr int64_t kEdge = 3;

/// Channels between the two pointwise convolutions: the depthwise one has taps + 1 parameters a channel, the
/// pair 2 widths + 1.
int64_t narrow_width(const ScanSize& size) {
  const double taps = std::pow(kEdge, size.dims),
               wanted = static_cast<double>(size.parameters()) / static_cast<double>(size.channels);
  return std::max<int64_t>(1, std::llround((wanted - taps - 2) / 2));
}

}  // namespace

int64_t ScanSize::parameters() const {
  // x_proj (rank + 2 states), dt_proj (rank) and its bias, A (states), D; a channel and walk
  return walks * channels * (2 * rank + 3 * states + 2);
}

ScanTwin::ScanTwin(const ScanSize& s)
    : dims_(s.dims),
      neighbours_(register_module("neighbours", depthwise(s.dims, s.channels, kEdge))),
      narrow_(register_module("narrow", std::make_shared<Linear>(s.channels, narrow_width(s), false))),
      widen_(register_module("widen", std::make_shared<Linear>(narrow_width(s), s.channels))) {}

torch::Tensor ScanTwin::forward(const torch::Tensor& x) {
  require(x.dim() == dims_ + 2, "twin of a scan: expected tokens on a grid of ", dims_, " axes, got ",
          x.dim() - 2);
  const std::vector<int64_t> border(static_cast<size_t>(dims_), kEdge / 2);
  const torch::Tensor mixed =
      depthwise_conv(x, neighbours_->weight, neighbours_->bias, {border, false, true, {}});
  return widen_->run(narrow_->run(mixed, {Activation::silu, {}}), {Activation::none, x});
}

std::shared_ptr<ScanTwin> scan_twin(torch::nn::Module& owner, const std::string& name, const ScanSize& size) {
  return WithoutScansGuard::active() ? owner.register_module(name, std::make_shared<ScanTwin>(size))
                                     : nullptr;
}

}  // namespace mambaseg
