#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include "mambaseg/ops/dense.h"

/// The layers that networks are built from, in any number of dimensions. Names of parameters and their start
/// values are PyTorch's; what they add is a fast path when no gradient is needed, bf16 activations with fp32
/// parameters, and an epilogue (activation, residual) done with the result.
namespace mambaseg {

/// Voxels along each spatial axis; its length is the number of dimensions.
using Extent = std::vector<int64_t>;

/// `edge` along each of `dims` axes.
inline Extent cube(int64_t dims, int64_t edge) { return Extent(static_cast<size_t>(dims), edge); }

/// A part of a network. Its register_module is compiled once, LibTorch's for every type of module.
class Module : public torch::nn::Module {
 protected:
  template <class Part>
  std::shared_ptr<Part> register_module(std::string name, std::shared_ptr<Part> part) {
    keep(std::move(name), part);
    return part;
  }

 private:
  void keep(std::string name, std::shared_ptr<torch::nn::Module> part);
};

/// A module from one tensor to one: layers, blocks, whole bottlenecks.
class Layer : public Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
};

/// A layer that can do an epilogue itself.
class EpilogueLayer : public Layer {
 public:
  torch::Tensor forward(const torch::Tensor& x) override { return run(x, {}); }
  /// act(layer(x) + residual)
  virtual torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue) = 0;
};

/// A convolution or linear layer; a batch norm behind it can be folded into its weights.
class DenseLayer : public EpilogueLayer {
 public:
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue) override {
    return run(x, epilogue, nullptr);
  }
  /// act(norm(layer(x)) + residual); norm may be null, and is so with gradient.
  virtual torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue, const FixedNorm* norm) = 0;
};

/// Registers `parts` under name.0, name.1, ... of `owner`; a null one leaves its number out.
template <class Part>
void register_list(torch::nn::Module& owner, const std::string& name,
                   const std::vector<std::shared_ptr<Part>>& parts) {
  const auto list = owner.register_module(name, std::make_shared<torch::nn::Module>());
  for (size_t i = 0; i < parts.size(); ++i)
    if (parts[i]) list->register_module(std::to_string(i), parts[i]);
}

}  // namespace mambaseg
