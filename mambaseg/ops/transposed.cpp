#include "mambaseg/ops/transposed.h"

#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include <algorithm>

#include "mambaseg/kernels/transpose.h"
#include "mambaseg/ops/channels_last.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr int64_t kShare = 256;  // of the longer axis: what a thread does at a time

Tensor copied(const Tensor& x) {
  const Tensor y = torch::empty({x.size(0), x.size(2), x.size(1)}, x.options());
  transpose_into(x, y);
  return y;
}

class TransposedFunction : public torch::autograd::Function<TransposedFunction> {
 public:
  static Tensor forward(torch::autograd::AutogradContext*, const Tensor& x) { return copied(x); }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list gradients) {
    return {transposed(gradients[0])};
  }
};

}  // namespace

Tensor transposed(const Tensor& x) {
  TORCH_CHECK(x.dim() == 3, "transposed: expected (B, R, C), got ", x.sizes());
  return needs_gradient({x}) ? TransposedFunction::apply(x) : copied(x);
}

void transpose_into(const Tensor& x, const Tensor& y) {
  const torch::NoGradGuard unrecorded;
  if (!fits_kernels(x) || x.scalar_type() != torch::kFloat || x.stride(2) != 1 || y.stride(2) != 1) {
    y.copy_(x.transpose(1, 2));
    return;
  }
  const int64_t B = x.size(0), R = x.size(1), C = x.size(2);
  const bool by_rows = R > C;
  const int64_t shares = (std::max(R, C) + kShare - 1) / kShare;
  at::parallel_for(0, B * shares, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t b = i / shares, begin = i % shares * kShare;
      const int64_t r = by_rows ? begin : 0, c = by_rows ? 0 : begin;
      transpose_matrix(x.data_ptr<float>() + b * x.stride(0) + r * x.stride(1) + c, x.stride(1),
                       by_rows ? std::min(kShare, R - r) : R, by_rows ? C : std::min(kShare, C - c),
                       y.data_ptr<float>() + b * y.stride(0) + c * y.stride(1) + r, y.stride(1));
    }
  });
}

}  // namespace mambaseg
