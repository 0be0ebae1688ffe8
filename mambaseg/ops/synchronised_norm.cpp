#include "mambaseg/ops/synchronised_norm.h"

#include <torch/autograd.h>
#include <torch/custom_class.h>

namespace mambaseg {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

thread_local const SynchronisedBatchNorms* current = nullptr;

/// All axes but that of the channels.
std::vector<int64_t> other_axes(const Tensor& x) {
  std::vector<int64_t> axes{0};
  for (int64_t axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  return axes;
}

/// Values of channels for an operation on x.
Tensor along(const Tensor& channels_C, const Tensor& x) {
  std::vector<int64_t> sizes(static_cast<size_t>(x.dim()), 1);
  sizes[1] = x.size(1);
  return channels_C.to(x.scalar_type()).view(sizes);
}

Tensor sum_C(const Tensor& x) { return x.sum(other_axes(x), /*keepdim=*/false, torch::kDouble); }

struct Ranks : torch::CustomClassHolder {
  explicit Ranks(OfAllRanks given) : all(std::move(given)) {}
  OfAllRanks all;
};

/// Of a batch that lies on several ranks.
struct BatchStatistics {
  Tensor count, mean_C, variance_C;  ///< double, count without axes
};

/// Count, mean and sum of squares about the mean of every channel here, (1 + 2 C) double.
Tensor moments_of(const Tensor& x) {
  const double count = static_cast<double>(x.numel() / x.size(1));
  const Tensor middle = x.mean(other_axes(x));  // near the mean: what is left of it is put right
  const Tensor off = x - along(middle, x), left_C = sum_C(off) / count;
  const Tensor squares_C = sum_C(off.square()) - count * left_C.square();
  return torch::cat(
      {torch::full({1}, count, left_C.options()), middle.to(torch::kDouble) + left_C, squares_C});
}

/// Moments of parts as those of the whole (Chan, Golub, LeVeque 1979), (ranks, 1 + 2 C).
BatchStatistics merged(const Tensor& parts) {
  const int64_t channels = (parts.size(1) - 1) / 2;
  const Tensor counts = parts.narrow(1, 0, 1), means = parts.narrow(1, 1, channels),
               squares = parts.narrow(1, 1 + channels, channels);
  BatchStatistics all;
  all.count = counts.sum();
  all.mean_C = (counts * means).sum(0) / all.count;
  all.variance_C = (squares + counts * (means - all.mean_C).square()).sum(0) / all.count;
  return all;
}

class SynchronisedNormFunction : public torch::autograd::Function<SynchronisedNormFunction> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        double eps, const OfAllRanks& of_all_ranks, bool counts, BatchStatistics* found) {
    const Tensor moments = moments_of(x);
    *found = merged(of_all_ranks(counts ? moments : torch::zeros_like(moments)));
    const Tensor factor_C = (found->variance_C + eps).rsqrt();
    ctx->save_for_backward({x, weight, found->mean_C, factor_C, found->count});
    ctx->saved_data["counts"] = counts;
    ctx->saved_data["ranks"] = c10::IValue::make_capsule(c10::make_intrusive<Ranks>(of_all_ranks));
    return (x - along(found->mean_C, x)) * along(factor_C * weight, x) + along(bias, x);
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &factor_C = saved[3], &g = gradients[0];
    const Tensor z = (x - along(saved[2], x)) * along(factor_C, x);
    const Tensor bias_C = sum_C(g), weight_C = sum_C(g * z);
    const auto ranks = c10::static_intrusive_pointer_cast<Ranks>(ctx->saved_data["ranks"].toCapsule());
    const Tensor means = ranks->all(torch::stack({bias_C, weight_C})).sum(0) / saved[4];
    // dx = factor w (g - mean(g) - z mean(g z)), means over the batch of all ranks; what does not count there
    // changes no statistics.
    Tensor dx = g;
    if (ctx->saved_data["counts"].toBool()) dx = g - along(means[0], x) - z * along(means[1], x);
    return {dx * along(factor_C * weight, x),
            weight_C.to(weight.scalar_type()),
            bias_C.to(weight.scalar_type()),
            Tensor(),
            Tensor(),
            Tensor(),
            Tensor()};
  }
};

}  // namespace

SynchronisedBatchNorms::SynchronisedBatchNorms(OfAllRanks of_all_ranks, bool counts)
    : of_all_ranks_(std::move(of_all_ranks)), counts_(counts), before_(current) {
  current = this;
}

SynchronisedBatchNorms::~SynchronisedBatchNorms() { current = before_; }

const SynchronisedBatchNorms* SynchronisedBatchNorms::active() { return current; }

Tensor SynchronisedBatchNorms::norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    RunningStatistics running, double eps) const {
  BatchStatistics batch;
  const Tensor y = SynchronisedNormFunction::apply(x.to(weight.scalar_type()), weight, bias, eps,
                                                   of_all_ranks_, counts_, &batch);
  const torch::NoGradGuard no_grad;
  const double share = running.momentum;
  const auto type = running.mean.scalar_type();
  running.mean.mul_(1 - share).add_(batch.mean_C.to(type), share);
  const Tensor unbiased = batch.count / (batch.count - 1).clamp_min(1);
  running.var.mul_(1 - share).add_((batch.variance_C * unbiased).to(type), share);
  return y.to(x.scalar_type());
}

}  // namespace mambaseg
