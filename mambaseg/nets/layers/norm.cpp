#include "mambaseg/nets/layers/norm.h"

#include <ATen/Context.h>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/norm.h"
#include "mambaseg/ops/recomputed.h"

namespace mambaseg {
namespace {

constexpr double kEps = 1e-5;

}  // namespace

BatchNorm::BatchNorm(int64_t channels, double eps)
    : weight(register_parameter("weight", torch::ones({channels}))),
      bias(register_parameter("bias", torch::zeros({channels}))),
      running_mean(register_buffer("running_mean", torch::zeros({channels}))),
      running_var(register_buffer("running_var", torch::ones({channels}))),
      num_batches_tracked(register_buffer("num_batches_tracked", torch::zeros({}, torch::kLong))),
      eps_(eps) {}

torch::Tensor BatchNorm::run(const torch::Tensor& x, const Epilogue& epilogue) {
  if (is_training()) {
    if (!is_recomputing()) num_batches_tracked.add_(1);
    return batch_norm(x, weight, bias, {running_mean, running_var, 0.1}, eps_, epilogue);
  }
  return finish(torch::batch_norm(x.to(weight.scalar_type()), weight, bias, running_mean, running_var, false,
                                  0, eps_, at::globalContext().userEnabledCuDNN())
                    .to(x.scalar_type()),
                epilogue);
}

GroupNorm::GroupNorm(int64_t groups, int64_t channels)
    : weight(register_parameter("weight", torch::ones({channels}))),
      bias(register_parameter("bias", torch::zeros({channels}))),
      groups_(groups) {
  if (channels % groups != 0)
    throw UsageError(
        concat("network: ", channels, " channels do not divide into ", groups, " groups of a norm"));
}

torch::Tensor GroupNorm::run(const torch::Tensor& x, const Epilogue& epilogue) {
  return group_norm(x, groups_, weight, bias, kEps, epilogue);
}

torch::Tensor PlainInstanceNorm::run(const torch::Tensor& x, const Epilogue& epilogue) {
  const int64_t channels = x.size(1);
  const auto options =
      torch::dtype(x.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat).device(x.device());
  return group_norm(x, channels, torch::ones({channels}, options), torch::zeros({channels}, options), kEps,
                    epilogue);
}

LayerNorm::LayerNorm(int64_t width, double eps)
    : weight(register_parameter("weight", torch::ones({width}))),
      bias(register_parameter("bias", torch::zeros({width}))),
      eps_(eps) {}

torch::Tensor LayerNorm::forward(const torch::Tensor& x) { return layer_norm(x, weight, bias, eps_); }

torch::Tensor normed(DenseLayer& layer, BatchNorm& norm, const torch::Tensor& x, const Epilogue& epilogue) {
  if (torch::GradMode::is_enabled() || norm.is_training()) return norm.run(layer.forward(x), epilogue);
  const FixedNorm fixed = norm.fixed();
  return layer.run(x, epilogue, &fixed);
}

}  // namespace mambaseg
