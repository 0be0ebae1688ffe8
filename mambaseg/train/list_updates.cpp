#include "mambaseg/train/list_updates.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <sstream>
#include <type_traits>

#include <ATen/Functions.h>
#include <torch/version.h>

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
#define MAMBASEG_FUSED_UPDATES
#endif

namespace mambaseg {
namespace {

using torch::Tensor;
using Tensors = std::vector<Tensor>;

/// A template, so that what the other version of LibTorch has need not compile.
template <class Key>
Key key_of(const Tensor& parameter) {
  if constexpr (std::is_pointer_v<Key>) {
    return parameter.unsafeGetTensorImpl();
  } else {
    std::ostringstream text;
    text << parameter.unsafeGetTensorImpl();
    return text.str();
  }
}

/// What the optimiser keeps for the parameter; made, and empty, when it is asked for the first time.
template <class State>
State& state_of(OptimizerStates& states, const Tensor& parameter) {
  auto& state = states[state_key(parameter)];
  if (!state) state = std::make_unique<State>();
  return static_cast<State&>(*state);
}

#ifdef MAMBASEG_FUSED_UPDATES
/// Whether a fused kernel takes the lists: on one GPU, and what belongs together lies alike.
bool can_be_fused(const Tensors& parameters, std::initializer_list<const Tensors*> others) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& parameter = parameters[i];
    if (!parameter.is_cuda() || !parameter.is_non_overlapping_and_dense()) return false;
    for (const Tensors* list : others)
      if ((*list)[i].strides() != parameter.strides() || (*list)[i].scalar_type() != parameter.scalar_type())
        return false;
  }
  return true;
}
#endif

/// Parameters that have taken the same number of steps, with gradients and both moments.
struct AdaptiveList {
  Tensors parameters, gradients, first, second;
};

template <class Options>
constexpr bool kDecoupled = std::is_same_v<Options, torch::optim::AdamWOptions>;

#ifdef MAMBASEG_FUSED_UPDATES
template <class Options>
void take_fused_step(AdaptiveList& m, const Options& options, int64_t step) {
  const Tensor count =
      torch::full({}, static_cast<double>(step), m.parameters[0].options().dtype(torch::kFloat));
  const Tensors counts(m.parameters.size(), count);
  const auto fused = [&](auto function) {
    function(m.parameters, m.gradients, m.first, m.second, {}, counts, options.lr(),
             std::get<0>(options.betas()), std::get<1>(options.betas()), options.weight_decay(),
             options.eps());
  };
  using List = at::TensorList;
  fused([](List p, List g, List first, List second, List none, List steps, double rate, double beta1,
           double beta2, double decay, double epsilon) {
    constexpr bool kAmsgrad = false, kMaximize = false;
    if constexpr (kDecoupled<Options>)
      at::_fused_adamw_(p, g, first, second, none, steps, rate, beta1, beta2, decay, epsilon, kAmsgrad,
                        kMaximize);
    else
      at::_fused_adam_(p, g, first, second, none, steps, rate, beta1, beta2, decay, epsilon, kAmsgrad,
                       kMaximize);
  });
}
#endif

/// Kingma & Ba 2015, algorithm 1, with bias correction; AdamW decays apart from the gradient (Loshchilov &
/// Hutter 2019, algorithm 2).
template <class Options>
void take_step(AdaptiveList& m, const Options& options, int64_t step) {
#ifdef MAMBASEG_FUSED_UPDATES
  if (can_be_fused(m.parameters, {&m.gradients, &m.first, &m.second}))
    return take_fused_step(m, options, step);
#endif
  const auto [beta1, beta2] = options.betas();
  if (options.weight_decay() != 0) {
    if constexpr (kDecoupled<Options>)
      at::_foreach_mul_(m.parameters, 1 - options.lr() * options.weight_decay());
    else
      m.gradients = at::_foreach_add(m.gradients, m.parameters, options.weight_decay());
  }
  at::_foreach_mul_(m.first, beta1);
  at::_foreach_add_(m.first, m.gradients, 1 - beta1);
  at::_foreach_mul_(m.second, beta2);
  at::_foreach_addcmul_(m.second, m.gradients, m.gradients, 1 - beta2);
  const double correction1 = 1 - std::pow(beta1, step), correction2 = 1 - std::pow(beta2, step);
  Tensors roots = at::_foreach_sqrt(m.second);
  at::_foreach_div_(roots, std::sqrt(correction2));
  at::_foreach_add_(roots, options.eps());
  at::_foreach_addcdiv_(m.parameters, m.first, roots, -(options.lr() / correction1));
}

template <class State, class Options>
void update_by_moments(const Tensors& parameters, const Options& options, OptimizerStates& states) {
  std::map<int64_t, AdaptiveList> by_step;  // one list, unless a gradient has been missing
  for (const Tensor& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    auto& state = state_of<State>(states, parameter);
    if (!state.exp_avg().defined()) {
      state.exp_avg(torch::zeros_like(parameter, torch::MemoryFormat::Preserve));
      state.exp_avg_sq(torch::zeros_like(parameter, torch::MemoryFormat::Preserve));
    }
    state.step(state.step() + 1);
    AdaptiveList& list = by_step[state.step()];
    list.parameters.push_back(parameter);
    list.gradients.push_back(parameter.grad());
    list.first.push_back(state.exp_avg());
    list.second.push_back(state.exp_avg_sq());
  }
  for (auto& [step, list] : by_step) take_step(list, options, step);
}

/// Parameters that all have, or all have not, a buffer of momentum.
struct DescentList {
  Tensors parameters, gradients, buffers;
};

/// Sutskever et al. 2013 as torch.optim.SGD has it: the first gradient is the first buffer. New buffers come
/// back in the list.
void take_step(DescentList& d, const torch::optim::SGDOptions& options, bool first) {
#ifdef MAMBASEG_FUSED_UPDATES
  if (can_be_fused(d.parameters, {&d.gradients}) && (first || can_be_fused(d.parameters, {&d.buffers}))) {
    if (first && options.momentum() != 0)
      for (const Tensor& gradient : d.gradients) d.buffers.push_back(torch::empty_like(gradient));
    constexpr bool kMaximize = false;
    return at::_fused_sgd_(d.parameters, d.gradients, d.buffers, options.weight_decay(), options.momentum(),
                           options.lr(), options.dampening(), options.nesterov(), kMaximize,
                           first && options.momentum() != 0);
  }
#endif
  Tensors change = d.gradients;
  if (options.weight_decay() != 0) change = at::_foreach_add(change, d.parameters, options.weight_decay());
  if (options.momentum() != 0) {
    if (first) {
      for (const Tensor& one : change) d.buffers.push_back(one.clone());
    } else {
      at::_foreach_mul_(d.buffers, options.momentum());
      at::_foreach_add_(d.buffers, change, 1 - options.dampening());
    }
    change = options.nesterov() ? at::_foreach_add(change, d.buffers, options.momentum()) : d.buffers;
  }
  at::_foreach_add_(d.parameters, change, -options.lr());
}

}  // namespace

OptimizerStates::key_type state_key(const Tensor& parameter) {
  return key_of<OptimizerStates::key_type>(parameter);
}

void update(const Tensors& parameters, const torch::optim::AdamWOptions& options, OptimizerStates& states) {
  update_by_moments<torch::optim::AdamWParamState>(parameters, options, states);
}

void update(const Tensors& parameters, const torch::optim::AdamOptions& options, OptimizerStates& states) {
  update_by_moments<torch::optim::AdamParamState>(parameters, options, states);
}

void update(const Tensors& parameters, const torch::optim::SGDOptions& options, OptimizerStates& states) {
  using State = torch::optim::SGDParamState;
  const bool keeps = options.momentum() != 0;
  DescentList fresh, known;
  for (const Tensor& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    const bool begun = keeps && state_of<State>(states, parameter).momentum_buffer().defined();
    DescentList& list = begun ? known : fresh;
    list.parameters.push_back(parameter);
    list.gradients.push_back(parameter.grad());
    if (begun) list.buffers.push_back(state_of<State>(states, parameter).momentum_buffer());
  }
  if (!known.parameters.empty()) take_step(known, options, false);
  if (fresh.parameters.empty()) return;
  take_step(fresh, options, true);
  for (size_t i = 0; i < fresh.buffers.size(); ++i)
    state_of<State>(states, fresh.parameters[i]).momentum_buffer(fresh.buffers[i]);
}

}  // namespace mambaseg
