#include "mambaseg/nets/blocks/layers.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include "mambaseg/ops/norm.h"
#include "mambaseg/ops/pooling.h"

// LibTorch declares this function of its batch norms but Debian's library does not export it, and every class
// that derives from one refers to it.
template <>
void torch::nn::BatchNormImplBase<2, torch::nn::BatchNorm2dImpl>::pretty_print(std::ostream& out) const {
  out << "BatchNorm2d(" << options.num_features() << ")";
}

namespace mambaseg {
namespace {

namespace nn = torch::nn;

/// What the module computes, when it is an activation that an epilogue knows.
torch::optional<Activation> activation_of(nn::Module& module) {
  if (module.as<nn::ReLU>()) return Activation::relu;
  if (module.as<nn::GELU>()) return Activation::gelu;
  if (module.as<nn::SiLU>()) return Activation::silu;
  if (module.as<nn::Sigmoid>()) return Activation::sigmoid;
  return {};
}

/// The statistics of a batch norm that stand.
torch::optional<FixedNorm> fixed_norm(nn::Module& module) {
  const auto* norm = module.as<BatchNorm2d>();
  if (!norm || norm->is_training()) return {};
  return norm->fixed();
}

template <class Layer>
torch::Tensor transposed(Layer& layer, const torch::Tensor& x, GrowingWeights& grown) {
  const auto& o = layer.options;
  const auto none = [](const auto& numbers) {
    return std::all_of(numbers->begin(), numbers->end(), [](int64_t n) { return n == 0; });
  };
  using Padding = std::decay_t<decltype(o.stride())>;
  if (*o.kernel_size() == *o.stride() && none(*get_if<Padding>(&o.padding())) && none(o.output_padding()))
    return block_convolution(x, layer.weight, layer.bias, grown);
  using Base = std::conditional_t<std::is_same_v<Layer, ConvTranspose2dImpl>, nn::ConvTranspose2dImpl,
                                  nn::ConvTranspose3dImpl>;
  const auto type = layer.weight.scalar_type();
  return layer.Base::forward(x.to(type)).to(x.scalar_type());
}

}  // namespace

torch::Tensor LinearImpl::run(const torch::Tensor& x, const Epilogue& epilogue, const FixedNorm* norm) {
  return linear(x, {weight, bias, packed_, norm}, epilogue);
}

torch::Tensor ConvTranspose2dImpl::forward(const torch::Tensor& x) { return transposed(*this, x, grown_); }
torch::Tensor ConvTranspose3dImpl::forward(const torch::Tensor& x) { return transposed(*this, x, grown_); }

torch::Tensor BatchNorm2dImpl::run(const torch::Tensor& x, const Epilogue& epilogue) {
  if (is_training()) {
    num_batches_tracked.add_(1);
    return batch_norm(x, weight, bias, {running_mean, running_var, options.momentum().value()}, options.eps(),
                      epilogue);
  }
  return finish(nn::BatchNorm2dImpl::forward(x.to(weight.scalar_type())).to(x.scalar_type()), epilogue);
}

torch::Tensor normed(Conv2d& convolution, BatchNorm2d& norm, const torch::Tensor& x,
                     const Epilogue& epilogue) {
  if (torch::GradMode::is_enabled() || norm->is_training())
    return norm->run(convolution->forward(x), epilogue);
  const FixedNorm fixed = norm->fixed();
  return convolution->run(x, epilogue, &fixed);
}

torch::Tensor GroupNormImpl::run(const torch::Tensor& x, const Epilogue& epilogue) {
  return group_norm(x, options.num_groups(), weight, bias, options.eps(), epilogue);
}

torch::Tensor LayerNormImpl::forward(const torch::Tensor& x) {
  return layer_norm(x, weight, bias, options.eps());
}

torch::Tensor HalvingMaxPoolImpl::forward(const torch::Tensor& x) { return halved_by_max(x); }

torch::Tensor SequentialImpl::forward(const torch::Tensor& input) {
  const bool folds = !torch::GradMode::is_enabled();
  torch::Tensor x = input;
  for (size_t i = 0; i < size();) {
    auto* layer = dynamic_cast<EpilogueLayer*>(ptr(i).get());
    if (!layer) {
      x = (begin() + static_cast<int64_t>(i++))->forward(x);
      continue;
    }
    auto* dense = dynamic_cast<DenseLayer*>(layer);
    torch::optional<FixedNorm> norm;
    if (++i < size() && dense && folds) norm = fixed_norm(*ptr(i));
    if (norm) ++i;
    Epilogue epilogue;
    if (i < size())
      if (const auto activation = activation_of(*ptr(i))) epilogue.activation = *activation, ++i;
    x = norm ? dense->run(x, epilogue, &*norm) : layer->run(x, epilogue);
  }
  return x;
}

}  // namespace mambaseg
