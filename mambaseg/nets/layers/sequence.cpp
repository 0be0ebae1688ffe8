#include "mambaseg/nets/layers/sequence.h"

#include "mambaseg/nets/layers/norm.h"

namespace mambaseg {
namespace {

/// The statistics of a batch norm that stand.
torch::optional<FixedNorm> fixed_norm(const Layer& layer) {
  const auto* norm = dynamic_cast<const BatchNorm*>(&layer);
  if (!norm || norm->is_training()) return {};
  return norm->fixed();
}

}  // namespace

Sequence::Sequence(std::initializer_list<std::shared_ptr<Layer>> layers) {
  for (const auto& layer : layers) push_back(layer);
}

void Sequence::push_back(std::shared_ptr<Layer> layer) {
  layers_.push_back(register_module(std::to_string(layers_.size()), std::move(layer)));
}

torch::Tensor Sequence::forward(const torch::Tensor& input) {
  const bool folds = !torch::GradMode::is_enabled();
  torch::Tensor x = input;
  for (size_t i = 0; i < layers_.size();) {
    auto* layer = dynamic_cast<EpilogueLayer*>(layers_[i].get());
    if (!layer) {
      x = layers_[i++]->forward(x);
      continue;
    }
    auto* dense = dynamic_cast<DenseLayer*>(layer);
    torch::optional<FixedNorm> norm;
    if (++i < layers_.size() && dense && folds) norm = fixed_norm(*layers_[i]);
    if (norm) ++i;
    Epilogue epilogue;
    if (i < layers_.size())
      if (const auto* last = dynamic_cast<const ActivationLayer*>(layers_[i].get()))
        epilogue.activation = last->activation(), ++i;
    x = norm ? dense->run(x, epilogue, &*norm) : layer->run(x, epilogue);
  }
  return x;
}

}  // namespace mambaseg
