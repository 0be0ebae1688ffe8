#include "mambaseg/train/gradient_sums.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

namespace mambaseg {

/// Called by LibTorch when a parameter has its gradient.
class GradientSums::Arrival : public torch::autograd::FunctionPostHook {
 public:
  Arrival(GradientSums& sums, size_t bucket) : sums_(sums), bucket_(bucket) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    sums_.arrived(bucket_);
    return outputs;
  }

 private:
  GradientSums& sums_;
  size_t bucket_;
};

struct GradientSums::Hooks {
  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, uintptr_t>> of_parameters;
};

GradientSums::GradientSums(const torch::nn::Module& network, World& world, int64_t bucket_bytes)
    : world_(world), hooks_(std::make_unique<Hooks>()) {
  if (world_.alone()) return;
  parameters_ = network.parameters();
  for (size_t i = parameters_.size(); i-- > 0;) {
    const torch::Tensor& parameter = parameters_[i];
    const auto fits = [&](const Bucket& bucket) {
      return (bucket.values + parameter.numel()) * parameter.element_size() <= bucket_bytes &&
             parameters_[bucket.parameters.front()].device() == parameter.device();
    };
    if (buckets_.empty() || !fits(buckets_.back())) buckets_.emplace_back();
    buckets_.back().parameters.push_back(i);
    buckets_.back().values += parameter.numel();
    if (!parameter.requires_grad()) continue;
    auto accumulator = torch::autograd::impl::grad_accumulator(parameter);
    hooks_->of_parameters.emplace_back(
        accumulator, accumulator->add_post_hook(std::make_unique<Arrival>(*this, buckets_.size() - 1)));
  }
}

GradientSums::~GradientSums() {
  for (auto& [node, hook] : hooks_->of_parameters) node->del_post_hook(hook);
}

void GradientSums::last_pass() {
  if (world_.alone()) return;
  last_ = true;
  for (Bucket& bucket : buckets_) bucket.missing = bucket.parameters.size();
}

void GradientSums::arrived(size_t bucket) {
  if (!last_) return;
  --buckets_[bucket].missing;
  begin_sums(false);
}

/// Of the next buckets whose gradients are all there, or of all that are left.
void GradientSums::begin_sums(bool all) {
  for (; begun_ < buckets_.size() && (all || buckets_[begun_].missing == 0); ++begun_) {
    Bucket& bucket = buckets_[begun_];
    const torch::Tensor& first = parameters_[bucket.parameters.front()];
    if (!bucket.flat.defined())
      bucket.flat = torch::empty({bucket.values}, first.options().requires_grad(false));
    int64_t at = 0;
    for (const size_t i : bucket.parameters) {
      const torch::Tensor gradient = parameters_[i].grad();
      torch::Tensor part = bucket.flat.narrow(0, at, parameters_[i].numel());
      if (gradient.defined())
        part.view(parameters_[i].sizes()).copy_(gradient);
      else
        part.zero_();
      at += parameters_[i].numel();
    }
    bucket.sum = world_.begin_sum(bucket.flat);
  }
}

void GradientSums::finish() {
  if (world_.alone()) return;
  const torch::NoGradGuard no_grad;
  begin_sums(true);
  std::vector<double> known;
  for (const torch::Tensor& parameter : parameters_) known.push_back(parameter.grad().defined() ? 1 : 0);
  for (Bucket& bucket : buckets_) world_.finish(*bucket.sum);
  known = world_.sums(known);
  for (Bucket& bucket : buckets_) {
    int64_t at = 0;
    for (const size_t i : bucket.parameters) {
      torch::Tensor& parameter = parameters_[i];
      const torch::Tensor sum = bucket.flat.narrow(0, at, parameter.numel()).view(parameter.sizes());
      at += parameter.numel();
      if (known[i] == 0) continue;
      if (!parameter.grad().defined()) parameter.mutable_grad() = torch::empty_like(parameter);
      parameter.mutable_grad().copy_(sum);
    }
  }
  begun_ = 0;
  last_ = false;
}

}  // namespace mambaseg
