#include "mambaseg/ops/epilogue.h"

#include <torch/autograd.h>

#include "mambaseg/ops/channels_last.h"
#include "mambaseg/ops/gate.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// LibTorch 1.13 hands a contiguous x and its gradient to oneDNN as if both lay alike: where they do not, the
/// gradient is made of memory that is not its own.
class GeluFunction : public torch::autograd::Function<GeluFunction> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x) {
    ctx->save_for_backward({x});
    return torch::gelu(x);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list gradients) {
    const Tensor x = ctx->get_saved_variables()[0], &dy = gradients[0];
    return {at::gelu_backward(x.is_contiguous() ? dy.contiguous() : dy, x)};
  }
};

}  // namespace

Tensor activate(const Tensor& x, Activation activation) {
  const bool takes_exponential =
      activation == Activation::gelu || activation == Activation::silu || activation == Activation::sigmoid;
  if (takes_exponential && fits_kernels(x) && x.numel() > 0) return gated({}, x, activation);
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return torch::relu(x);
    case Activation::leaky_relu:
      return torch::leaky_relu(x, kLeakySlope);
    case Activation::gelu:
      return GeluFunction::apply(x);
    case Activation::silu:
      return torch::silu(x);
    case Activation::sigmoid:
      return torch::sigmoid(x);
  }
  return x;
}

Tensor finish(Tensor y, const Epilogue& epilogue) {
  if (torch::GradMode::is_enabled())
    return activate(epilogue.residual.defined() ? y + epilogue.residual : y, epilogue.activation);
  if (epilogue.residual.defined()) y.add_(epilogue.residual);
  switch (epilogue.activation) {  // in place where LibTorch can
    case Activation::relu:
      return y.relu_();
    case Activation::leaky_relu:
      return torch::leaky_relu_(y, kLeakySlope);
    case Activation::none:
      return y;
    default:
      activate_in_place(y, epilogue.activation);
      return y;
  }
}

}  // namespace mambaseg
