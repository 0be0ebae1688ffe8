#include "mambaseg/ops/ordered_gradients.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/ops/determinism.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// x at `size` places along one axis, between two neighbours each.
Tensor resized_along(const Tensor& x, int64_t axis, int64_t size, bool align_corners) {
  const int64_t from = x.size(axis);
  if (size == from) return x;
  const double step =
      align_corners ? (size > 1 ? double(from - 1) / double(size - 1) : 0) : double(from) / double(size);
  std::vector<int64_t> below, above;
  std::vector<double> share;  // of what is above
  for (int64_t i = 0; i < size; ++i) {
    const double at = align_corners ? step * double(i) : std::max(0.0, step * (double(i) + 0.5) - 0.5);
    const int64_t first = std::min(from - 1, static_cast<int64_t>(std::floor(at)));
    below.push_back(first);
    above.push_back(std::min(from - 1, first + 1));
    share.push_back(at - double(first));
  }
  std::vector<int64_t> along(static_cast<size_t>(x.dim()), 1);
  along[static_cast<size_t>(axis)] = size;
  const Tensor w = torch::tensor(share, torch::kDouble).to(x.options()).view(along);
  const auto taken = [&](const std::vector<int64_t>& places) {
    return x.index_select(axis, torch::tensor(places).to(x.device()));
  };
  return taken(below) * (1 - w) + taken(above) * w;
}

/// Windows side by side, their voxels along the last axis; what is left over at the end is left out.
Tensor windows(const Tensor& x_BCZYX, torch::IntArrayRef edges) {
  Tensor out = x_BCZYX;
  for (int64_t axis = 0; axis < 3; ++axis) out = out.unfold(2 + axis, edges[axis], edges[axis]);
  return out.flatten(5);
}

}  // namespace

bool needs_ordered_gradients(const Tensor& x) { return x.is_cuda() && computes_deterministically(); }

Tensor linear_resized_in_order(const Tensor& x, torch::IntArrayRef size, bool align_corners) {
  Tensor out = x;
  for (size_t axis = 0; axis < size.size(); ++axis)
    out = resized_along(out, static_cast<int64_t>(axis) + 2, size[axis], align_corners);
  return out;
}

Tensor max_pooled_in_order(const Tensor& x_BCZYX) { return std::get<0>(windows(x_BCZYX, {2, 2, 2}).max(-1)); }

Tensor average_pooled_in_order(const Tensor& x_BCZYX, torch::IntArrayRef stride) {
  return windows(x_BCZYX, stride).mean(-1);
}

}  // namespace mambaseg
