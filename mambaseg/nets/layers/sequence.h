#pragma once

#include <initializer_list>

#include "mambaseg/nets/layers/layer.h"

namespace mambaseg {

/// An activation as a layer, without parameters.
class ActivationLayer : public Layer {
 public:
  explicit ActivationLayer(Activation activation) : activation_(activation) {}
  torch::Tensor forward(const torch::Tensor& x) override { return activate(x, activation_); }
  Activation activation() const { return activation_; }

 private:
  Activation activation_;
};

inline std::shared_ptr<ActivationLayer> activation(Activation kind) {
  return std::make_shared<ActivationLayer>(kind);
}
inline std::shared_ptr<ActivationLayer> relu() { return activation(Activation::relu); }

/// Layers one after the other, named "0", "1", ... A layer and the activation behind it are one operation;
/// without gradient a batch norm of fixed statistics between them too.
class Sequence : public Layer {
 public:
  Sequence() = default;
  Sequence(std::initializer_list<std::shared_ptr<Layer>> layers);
  void push_back(std::shared_ptr<Layer> layer);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::vector<std::shared_ptr<Layer>> layers_;
};

inline std::shared_ptr<Sequence> sequence(std::initializer_list<std::shared_ptr<Layer>> layers) {
  return std::make_shared<Sequence>(layers);
}

}  // namespace mambaseg
