#include "mambaseg/ops/pooling.h"

#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include <algorithm>
#include <array>

#include "mambaseg/kernels/channels_last.h"
#include "mambaseg/kernels/row_summary.h"
#include "mambaseg/ops/channels_last.h"
#include "mambaseg/ops/ordered_gradients.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// Calls action(row, starts, count) for every row of voxels of the result: the starts are those of the
/// `count` rows of the input that it is made of, in numbers from the beginning.
template <class Action>
void for_rows(const Tensor& x, const Tensor& y, Action action) {
  const bool deep = x.dim() == 5;
  const int64_t C = x.size(1), width = x.size(-1), height = x.size(-2), depth = deep ? x.size(2) : 1;
  const int64_t rows = y.numel() / std::max<int64_t>(1, y.size(-1) * C);
  at::parallel_for(0, rows, 4, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t j = row % (height / 2), above = row / (height / 2);
      const int64_t plane = deep ? above / (depth / 2) * depth + 2 * (above % (depth / 2)) : above;
      const int64_t start = (plane * height + 2 * j) * width * C, next = height * width * C;
      const std::array<int64_t, 4> starts{start, start + width * C, start + next, start + next + width * C};
      action(row, starts, deep ? 4 : 2);
    }
  });
}

Tensor forward_halved(const Tensor& x) {
  std::vector<int64_t> sizes = x.sizes().vec();
  for (size_t axis = 2; axis < sizes.size(); ++axis) sizes[axis] /= 2;
  const Tensor y = empty_channels_last(sizes, x);
  const int64_t C = x.size(1), outputs = y.size(-1);
  with_numbers(x, [&]<class T>(T* from) {
    T* to = static_cast<T*>(y.data_ptr());
    for_rows(x, y, [&](int64_t row, const std::array<int64_t, 4>& starts, int64_t count) {
      const std::array<const T*, 4> rows{from + starts[0], from + starts[1], from + starts[2],
                                         from + starts[3]};
      halve_rows(rows.data(), count, outputs, C, to + row * outputs * C);
    });
  });
  return y;
}

Tensor gradient_of_halved(const Tensor& x, const Tensor& y, const Tensor& dy) {
  const bool odd = std::any_of(x.sizes().begin() + 2, x.sizes().end(), [](int64_t size) { return size % 2; });
  const Tensor dx = empty_channels_last(x.sizes(), x);
  if (odd) dx.zero_();
  const int64_t C = x.size(1), outputs = y.size(-1);
  const float *from = x.data_ptr<float>(), *largest = y.data_ptr<float>(), *given = dy.data_ptr<float>();
  float* to = dx.data_ptr<float>();
  for_rows(x, y, [&](int64_t row, const std::array<int64_t, 4>& starts, int64_t count) {
    const std::array<const float*, 4> rows{from + starts[0], from + starts[1], from + starts[2],
                                           from + starts[3]};
    const std::array<float*, 4> written{to + starts[0], to + starts[1], to + starts[2], to + starts[3]};
    const int64_t at = row * outputs * C;
    halve_rows_gradient(rows.data(), count, outputs, C, largest + at, given + at, written.data());
  });
  return dx;
}

constexpr int64_t kRowsInOneCall = 256;

/// x channels-last.
Tensor summarised(const Tensor& x) {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[1] = 2;
  const Tensor y = empty_channels_last(sizes, x);
  const int64_t C = x.size(1);
  with_numbers(x, [&]<class T>(const T* from) {
    T* to = static_cast<T*>(y.data_ptr());
    at::parallel_for(0, x.numel() / C, kRowsInOneCall, [&](int64_t first, int64_t last) {
      summarise_rows(from + first * C, last - first, C, to + 2 * first);
    });
  });
  return y;
}

Tensor gradient_of_summarised(const Tensor& x, const Tensor& y, const Tensor& dy) {
  const Tensor dx = empty_channels_last(x.sizes(), x);
  const int64_t C = x.size(1);
  with_numbers(x, [&]<class T>(const T* from) {
    const auto numbers = [](const Tensor& t) { return static_cast<T*>(t.data_ptr()); };
    at::parallel_for(0, x.numel() / C, kRowsInOneCall, [&](int64_t first, int64_t last) {
      summarise_rows_gradient(from + first * C, numbers(y) + 2 * first, numbers(dy) + 2 * first, last - first,
                              C, numbers(dx) + first * C);
    });
  });
  return dx;
}

/// y = compute(x), whose gradient is gradient(x, y, dy), all channels-last.
template <Tensor (*compute)(const Tensor& x),
          Tensor (*gradient)(const Tensor& x, const Tensor& y, const Tensor& dy)>
class PoolingFunction : public torch::autograd::Function<PoolingFunction<compute, gradient>> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& given) {
    const Tensor x = channels_last(given), y = compute(x);
    ctx->save_for_backward({x, y});
    return y;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list of_result) {
    const auto saved = ctx->get_saved_variables();
    return {gradient(saved[0], saved[1], channels_last(of_result[0]))};
  }
};

using HalvedByMaxFunction = PoolingFunction<forward_halved, gradient_of_halved>;
using ChannelMeanAndMaxFunction = PoolingFunction<summarised, gradient_of_summarised>;

}  // namespace

Tensor halved_by_max(const Tensor& x) {
  TORCH_CHECK(x.dim() == 4 || x.dim() == 5, "halved_by_max: expected two or three spatial axes, got ",
              x.sizes());
  const bool recorded = needs_gradient({x});
  if (x.dim() == 5 && needs_ordered_gradients(x)) return max_pooled_in_order(x);
  if (!fits_kernels(x) || (recorded && x.scalar_type() != torch::kFloat))
    return x.dim() == 4 ? torch::max_pool2d(x, 2) : torch::max_pool3d(x, 2);
  return recorded ? HalvedByMaxFunction::apply(x) : forward_halved(channels_last(x));
}

Tensor channel_mean_and_max(const Tensor& x) {
  if (!fits_kernels(x) || x.dim() < 4 || x.numel() == 0)
    return torch::cat({x.mean({1}, /*keepdim=*/true), x.amax(1, /*keepdim=*/true)}, 1);
  return needs_gradient({x}) ? ChannelMeanAndMaxFunction::apply(x) : summarised(channels_last(x));
}

Tensor spatial_mean(const Tensor& x) {
  if (!works_channels_last(x.device(), x)) return x.flatten(2).mean({2});
  return x.movedim(1, -1).flatten(1, -2).mean({1});
}

}  // namespace mambaseg
