#include "mambaseg/train/optimizer.h"

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/sgd.h>

#include "mambaseg/nets/layers/undecayed.h"
#include "mambaseg/train/list_updates.h"

namespace mambaseg {
namespace {

struct Parameters {
  std::vector<torch::Tensor> decayed, kept;
};

Parameters divided(const TrainingSettings& settings, const torch::nn::Module& network) {
  Parameters out;
  for (const torch::Tensor& parameter : network.parameters()) {
    const bool decays = settings.decay == "all" || (parameter.dim() > 1 && !is_without_decay(parameter));
    (decays ? out.decayed : out.kept).push_back(parameter);
  }
  return out;
}

/// One of LibTorch's optimisers that changes all parameters of a group in one go. Its state is that of
/// LibTorch's, and so are its files.
template <class Optimizer, class Options>
class OfLists final : public Optimizer {
 public:
  using Optimizer::Optimizer;
  torch::Tensor step(torch::optim::Optimizer::LossClosure = nullptr) override {
    const torch::NoGradGuard no_grad;
    for (const auto& group : this->param_groups())
      update(group.params(), static_cast<const Options&>(group.options()), this->state());
    return {};
  }
};

template <class Optimizer, class Options>
std::unique_ptr<torch::optim::Optimizer> over(const Parameters& parameters, const Options& options) {
  Options without = options;
  without.weight_decay(0);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(parameters.decayed, std::make_unique<Options>(options));
  if (!parameters.kept.empty()) groups.emplace_back(parameters.kept, std::make_unique<Options>(without));
  return std::make_unique<OfLists<Optimizer, Options>>(groups, options);
}

}  // namespace

std::unique_ptr<torch::optim::Optimizer> make_optimizer(const TrainingSettings& settings,
                                                        const torch::nn::Module& network) {
  const Parameters parameters = divided(settings, network);
  if (settings.optimizer == "sgd") {
    torch::optim::SGDOptions options(settings.learning_rate);
    options.momentum(settings.momentum)
        .nesterov(settings.nesterov && settings.momentum > 0)
        .weight_decay(settings.weight_decay);
    return over<torch::optim::SGD>(parameters, options);
  }
  if (settings.betas.size() != 2) throw UsageError("setting training.betas: expected two numbers");
  const auto adaptive = [&](auto options) {
    options.betas({settings.betas[0], settings.betas[1]})
        .eps(settings.epsilon)
        .weight_decay(settings.weight_decay);
    return options;
  };
  if (settings.optimizer == "adam")
    return over<torch::optim::Adam>(parameters, adaptive(torch::optim::AdamOptions(settings.learning_rate)));
  return over<torch::optim::AdamW>(parameters, adaptive(torch::optim::AdamWOptions(settings.learning_rate)));
}

void set_learning_rate(torch::optim::Optimizer& optimizer, double rate) {
  for (auto& group : optimizer.param_groups()) group.options().set_lr(rate);
}

}  // namespace mambaseg
