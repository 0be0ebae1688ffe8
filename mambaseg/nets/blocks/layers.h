#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/types.h>

#include "mambaseg/ops/dense.h"
#include "mambaseg/ops/growing_conv.h"

/// LibTorch's layers with the operators of this program inside. Names of parameters, start values and options
/// are LibTorch's, so that they stand in its place; what they add is a fast path when no gradient is needed,
/// bf16 activations with fp32 parameters, and an epilogue (activation, residual) done with the result.
namespace mambaseg {

/// A layer that can do an epilogue itself.
class EpilogueLayer {
 public:
  virtual ~EpilogueLayer() = default;
  /// act(layer(x) + residual)
  virtual torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue) = 0;
};

/// A convolution or linear layer; a batch norm behind it can be folded into its weights.
class DenseLayer : public EpilogueLayer {
 public:
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue) override {
    return run(x, epilogue, nullptr);
  }
  /// act(norm(layer(x)) + residual); norm may be null.
  virtual torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue, const FixedNorm* norm) = 0;
};

template <class Base>
class ConvolutionLayer : public Base, public DenseLayer {
 public:
  using Base::Base;
  using DenseLayer::run;
  torch::Tensor forward(const torch::Tensor& x) { return run(x, {}, nullptr); }
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue, const FixedNorm* norm) override {
    // The number of axes is the length of every option.
    const auto listed = [](const auto& numbers) {
      return std::vector<int64_t>(numbers->begin(), numbers->end());
    };
    const auto& o = this->options;
    using Padding = std::decay_t<decltype(o.stride())>;
    return convolution(
        x, {this->weight, this->bias, packed_, norm},
        {listed(o.stride()), listed(*get_if<Padding>(&o.padding())), listed(o.dilation()), o.groups()},
        epilogue);
  }

 private:
  PackedWeights packed_;
};

class Conv2dImpl : public ConvolutionLayer<torch::nn::Conv2dImpl> {
 public:
  using ConvolutionLayer::ConvolutionLayer;
};
TORCH_MODULE(Conv2d);

class Conv3dImpl : public ConvolutionLayer<torch::nn::Conv3dImpl> {
 public:
  using ConvolutionLayer::ConvolutionLayer;
};
TORCH_MODULE(Conv3d);

class LinearImpl : public torch::nn::LinearImpl, public DenseLayer {
 public:
  using DenseLayer::run;
  using torch::nn::LinearImpl::LinearImpl;
  torch::Tensor forward(const torch::Tensor& x) { return run(x, {}, nullptr); }
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue, const FixedNorm* norm) override;

 private:
  PackedWeights packed_;
};
TORCH_MODULE(Linear);

/// A block for each voxel (kernel = stride) by a linear layer, other kernels by LibTorch in fp32.
class ConvTranspose2dImpl : public torch::nn::ConvTranspose2dImpl {
 public:
  using torch::nn::ConvTranspose2dImpl::ConvTranspose2dImpl;
  torch::Tensor forward(const torch::Tensor& x);

 private:
  GrowingWeights grown_;
};
TORCH_MODULE(ConvTranspose2d);

class ConvTranspose3dImpl : public torch::nn::ConvTranspose3dImpl {
 public:
  using torch::nn::ConvTranspose3dImpl::ConvTranspose3dImpl;
  torch::Tensor forward(const torch::Tensor& x);

 private:
  GrowingWeights grown_;
};
TORCH_MODULE(ConvTranspose3d);

/// With running statistics in evaluation mode. Parameters stay fp32 when activations are bf16.
class BatchNorm2dImpl : public torch::nn::BatchNorm2dImpl, public EpilogueLayer {
 public:
  using torch::nn::BatchNorm2dImpl::BatchNorm2dImpl;
  torch::Tensor forward(const torch::Tensor& x) { return run(x, {}); }
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue) override;
  void pretty_print(std::ostream& out) const override { out << "BatchNorm2d(" << weight.numel() << ")"; }
  FixedNorm fixed() const { return {weight, bias, running_mean, running_var, options.eps()}; }
};
TORCH_MODULE(BatchNorm2d);

/// act(norm(convolution(x)) + residual), the norm folded in where its statistics are fixed and no gradient is
/// needed.
torch::Tensor normed(Conv2d& convolution, BatchNorm2d& norm, const torch::Tensor& x,
                     const Epilogue& epilogue);

class GroupNormImpl : public torch::nn::GroupNormImpl, public EpilogueLayer {
 public:
  using torch::nn::GroupNormImpl::GroupNormImpl;
  torch::Tensor forward(const torch::Tensor& x) { return run(x, {}); }
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue) override;
};
TORCH_MODULE(GroupNorm);

class LayerNormImpl : public torch::nn::LayerNormImpl {
 public:
  using torch::nn::LayerNormImpl::LayerNormImpl;
  torch::Tensor forward(const torch::Tensor& x);
};
TORCH_MODULE(LayerNorm);

/// Halves the grid: the largest of 2 x 2 (x 2) voxels.
class HalvingMaxPoolImpl : public torch::nn::Module {
 public:
  torch::Tensor forward(const torch::Tensor& x);
};
TORCH_MODULE(HalvingMaxPool);

/// A layer and the activation behind it are one operation; without gradient a batch norm of fixed statistics
/// between them too.
class SequentialImpl : public torch::nn::SequentialImpl {
 public:
  using torch::nn::SequentialImpl::SequentialImpl;
  torch::Tensor forward(const torch::Tensor& x);
};
TORCH_MODULE(Sequential);

}  // namespace mambaseg
