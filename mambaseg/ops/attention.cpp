#include "mambaseg/ops/attention.h"

#include <torch/autograd.h>

#include "mambaseg/ops/attention_parts.h"
#include "mambaseg/ops/channels_last.h"
#include "mambaseg/ops/dense.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// Autograd functions of LibTorch 1.13 take no undefined tensors.
Tensor or_empty(const Tensor& x, const Tensor& like) {
  return x.defined() ? x : torch::empty({0}, like.options().requires_grad(false));
}
Tensor or_undefined(const Tensor& x) { return x.numel() > 0 ? x : Tensor(); }

Tensor forward(const AttentionOperands& o) {
  return fits_kernels(o.q) ? attention_forward_cpu(o) : attention_forward_libtorch(o);
}

/// `of_pairs`, `regions` and `kept` are empty where there are none.
class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& q, const Tensor& k,
                        const Tensor& v, const Tensor& of_pairs, const Tensor& regions, const Tensor& kept,
                        double dropout) {
    ctx->save_for_backward({q, k, v, of_pairs, regions, kept});
    ctx->saved_data["dropout"] = dropout;
    ctx->saved_data["by_kernels"] = fits_kernels(q);
    return mambaseg::forward(
        {q, k, v, {or_undefined(of_pairs), or_undefined(regions)}, or_undefined(kept), dropout});
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const AttentionOperands o{saved[0],
                              saved[1],
                              saved[2],
                              {or_undefined(saved[3]), or_undefined(saved[4])},
                              or_undefined(saved[5]),
                              ctx->saved_data["dropout"].toDouble()};
    const AttentionGradients g = ctx->saved_data["by_kernels"].toBool()
                                     ? attention_backward_cpu(o, gradients[0])
                                     : attention_backward_libtorch(o, gradients[0]);
    return {g.q, g.k, g.v, g.pairs, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionBias& bias,
                 double dropout) {
  TORCH_CHECK(q.dim() == 4 && q.sizes() == k.sizes() && q.sizes() == v.sizes() && q.dtype() == k.dtype() &&
                  q.dtype() == v.dtype(),
              "attention: expected three tensors (N, heads, L, D) of one size and type, got ", q.dtype(), " ",
              q.sizes(), ", ", k.dtype(), " ", k.sizes(), " and ", v.dtype(), " ", v.sizes());
  if (q.is_cpu() && q.element_size() < 4 && !fits_kernels(q) && !has_bf16_arithmetic()) {
    // LibTorch has no such products there.
    AttentionBias wide = bias;
    if (bias.of_pairs.defined()) wide.of_pairs = bias.of_pairs.to(torch::kFloat);
    return attention(q.to(torch::kFloat), k.to(torch::kFloat), v.to(torch::kFloat), wide, dropout)
        .to(v.scalar_type());
  }
  Tensor kept;
  if (dropout > 0)
    kept = torch::empty({q.size(0), q.size(1), q.size(2), q.size(2)}, q.options().dtype(torch::kBool))
               .bernoulli_(1 - dropout);
  const bool recorded = needs_gradient({q, k, v, bias.of_pairs});
  const Tensor y = recorded ? AttentionFunction::apply(q, k, v, or_empty(bias.of_pairs, q),
                                                       or_empty(bias.regions, q), or_empty(kept, q), dropout)
                            : forward({q, k, v, bias, kept, dropout});
  return y.flatten(2, 3);
}

}  // namespace mambaseg
