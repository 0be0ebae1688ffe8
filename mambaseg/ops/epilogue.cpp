#include "mambaseg/ops/epilogue.h"

namespace mambaseg {

torch::Tensor activate(const torch::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return torch::relu(x);
    case Activation::leaky_relu:
      return torch::leaky_relu(x, kLeakySlope);
    case Activation::gelu:
      return torch::gelu(x);
    case Activation::silu:
      return torch::silu(x);
    case Activation::sigmoid:
      return torch::sigmoid(x);
  }
  return x;
}

torch::Tensor finish(torch::Tensor y, const Epilogue& epilogue) {
  if (torch::GradMode::is_enabled())
    return activate(epilogue.residual.defined() ? y + epilogue.residual : y, epilogue.activation);
  if (epilogue.residual.defined()) y.add_(epilogue.residual);
  switch (epilogue.activation) {  // in place where LibTorch can
    case Activation::relu:
      return y.relu_();
    case Activation::leaky_relu:
      return torch::leaky_relu_(y, kLeakySlope);
    case Activation::silu:
      return torch::silu_(y);
    case Activation::sigmoid:
      return y.sigmoid_();
    default:
      return activate(y, epilogue.activation);
  }
}

}  // namespace mambaseg
