#include "mambaseg/ops/dense.h"

#include <torch/autograd.h>

#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/cast_weights.h"
#include "mambaseg/ops/channels_last.h"
#include "mambaseg/ops/depthwise_conv.h"
#include "mambaseg/ops/onednn.h"

namespace mambaseg {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Whether oneDNN computes it.
bool is_fast(const Tensor& x, const Tensor& weight) {
  return fits_kernels(x) && onednn::takes(x) && weight.scalar_type() == torch::kFloat;
}

Tensor as_type(const Tensor& t, torch::ScalarType type) { return t.defined() ? t.to(type) : t; }

Epilogue as_fp32(const Epilogue& epilogue) {
  return {epilogue.activation, as_type(epilogue.residual, torch::kFloat)};
}

Tensor normed(const Tensor& y, const FixedNorm* norm) {
  if (!norm) return y;
  return torch::batch_norm(y, norm->weight, norm->bias, norm->mean, norm->var, false, 0, norm->eps, false);
}

std::vector<int64_t> output_sizes(const Tensor& x, const Tensor& weight, const ConvolutionOptions& o) {
  std::vector<int64_t> sizes{x.size(0), weight.size(0)};
  for (size_t axis = 0; axis < o.stride.size(); ++axis) {
    const auto at = static_cast<int64_t>(axis) + 2;
    const int64_t reach = o.dilation[axis] * (weight.size(at) - 1) + 1;
    const int64_t behind = o.padding_behind.empty() ? o.padding[axis] : o.padding_behind[axis];
    const int64_t room = x.size(at) + o.padding[axis] + behind - reach;
    TORCH_CHECK(room >= 0, "convolution: expected an input that holds a kernel of ", reach,
                " along spatial axis ", axis, ", got sizes ", x.sizes());
    sizes.push_back(room / o.stride[axis] + 1);
  }
  return sizes;
}

void check(const Tensor& x, const DenseWeights& w, const ConvolutionOptions& o) {
  const auto axes = static_cast<size_t>(x.dim() - 2);
  TORCH_CHECK(w.weight.dim() == x.dim() && o.stride.size() == axes && o.padding.size() == axes &&
                  o.dilation.size() == axes && x.size(1) == w.weight.size(1) * o.groups,
              "convolution: expected x (B, ", w.weight.size(1) * o.groups, ", spatial...) for weights ",
              w.weight.sizes(), ", got ", x.sizes());
}

/// Keeps the packed weights of a layer until the backward pass.
struct Kept : torch::CustomClassHolder {
  explicit Kept(PackedWeights p) : packed(std::move(p)) {}
  PackedWeights packed;
};

void keep(AutogradContext* ctx, const PackedWeights& packed) {
  ctx->saved_data["packed"] = c10::IValue::make_capsule(c10::make_intrusive<Kept>(packed));
}

PackedWeights kept(AutogradContext* ctx) {
  return c10::static_intrusive_pointer_cast<Kept>(ctx->saved_data["packed"].toCapsule())->packed;
}

class ConvolutionFunction : public torch::autograd::Function<ConvolutionFunction> {
 public:
  /// `bias` is empty when there is none.
  static Tensor forward(AutogradContext* ctx, const Tensor& given, const Tensor& weight, const Tensor& bias,
                        const PackedWeights& packed, const ConvolutionOptions& o) {
    const Tensor x = channels_last(given);
    Tensor y = empty_channels_last(output_sizes(x, weight, o), x);
    onednn::convolution(x, {weight, bias.numel() > 0 ? bias : Tensor(), packed}, o, {}, y);
    packed.forget();
    ctx->save_for_backward({x, weight});
    ctx->saved_data["with_bias"] = bias.numel() > 0;
    keep(ctx, packed);
    ctx->saved_data["stride"] = o.stride;
    ctx->saved_data["padding"] = o.padding;
    ctx->saved_data["dilation"] = o.dilation;
    ctx->saved_data["groups"] = o.groups;
    ctx->saved_data["padding_behind"] = o.padding_behind;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    const PackedWeights packed = kept(ctx);
    const ConvolutionOptions o{ctx->saved_data["stride"].toIntVector(),
                               ctx->saved_data["padding"].toIntVector(),
                               ctx->saved_data["dilation"].toIntVector(), ctx->saved_data["groups"].toInt(),
                               ctx->saved_data["padding_behind"].toIntVector()};
    const Tensor dy = channels_last(gradients[0]);
    Tensor dx, dweight, dbias;
    if (ctx->needs_input_grad(0)) {
      dx = empty_channels_last(x.sizes(), x);
      packed.forget();
      onednn::convolution_backward_data(dy, {weight, {}, packed}, o, dx);
      packed.forget();
    }
    if (ctx->needs_input_grad(1)) {
      dweight = torch::empty(weight.sizes(), weight.options());
      if (ctx->saved_data["with_bias"].toBool()) dbias = torch::empty({weight.size(0)}, weight.options());
      onednn::convolution_backward_weights(x, dy, packed, o, dweight, dbias);
    }
    return {dx, dweight, dbias, Tensor(), Tensor()};
  }
};

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  /// x (rows, in), its last axis contiguous; `bias` is empty when there is none.
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const PackedWeights& packed, torch::ScalarType type) {
    Tensor y = torch::empty({x.size(0), weight.size(0)}, x.options().dtype(type));
    onednn::linear(x, {weight, bias.numel() > 0 ? bias : Tensor(), packed}, {}, y);
    packed.forget();
    ctx->save_for_backward({x, weight});
    ctx->saved_data["with_bias"] = bias.numel() > 0;
    keep(ctx, packed);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    const PackedWeights packed = kept(ctx);
    const Tensor dy = gradients[0].to(x.scalar_type()).contiguous();
    Tensor dx, dweight, dbias;
    if (ctx->needs_input_grad(0)) {
      dx = torch::empty(x.sizes(), x.options());
      onednn::linear_backward_data(dy, {weight, {}, packed}, dx);
      packed.forget();
    }
    if (ctx->needs_input_grad(1)) {
      dweight = torch::empty(weight.sizes(), weight.options());
      onednn::linear_backward_weights(x, dy, packed, dweight);
    }
    if (ctx->saved_data["with_bias"].toBool()) dbias = dy.sum(0, /*keepdim=*/false, weight.scalar_type());
    return {dx, dweight, dbias, Tensor(), Tensor()};
  }
};

/// `bias`, or one of no elements: autograd functions of LibTorch 1.13 take no undefined tensors.
Tensor or_empty(const Tensor& bias, const Tensor& weight) {
  return bias.defined() ? bias : torch::empty({0}, weight.options().requires_grad(false));
}

bool all_equal(const std::vector<int64_t>& v, int64_t number) {
  return std::all_of(v.begin(), v.end(), [&](int64_t i) { return i == number; });
}

/// A depthwise convolution as ops/depthwise_conv takes it.
bool is_depthwise(const Tensor& x, const Tensor& weight, const ConvolutionOptions& o) {
  return o.groups > 1 && o.groups == x.size(1) && weight.size(0) == o.groups && all_equal(o.stride, 1) &&
         all_equal(o.dilation, 1);
}

Tensor depthwise(const Tensor& x, const DenseWeights& w, const ConvolutionOptions& o) {
  if (!works_channels_last(x.device(), x)) return depthwise_conv(x, w.weight, w.bias, {o.padding});
  const Tensor y =
      depthwise_conv(channels_last(x).movedim(1, -1), w.weight, w.bias, {o.padding, false, true});
  return y.movedim(-1, 1);
}

/// One voxel to one voxel, some of them left out.
bool is_strided_pointwise(const Tensor& weight, const ConvolutionOptions& o) {
  return weight.numel() == weight.size(0) * weight.size(1) && !all_equal(o.stride, 1) &&
         all_equal(o.padding, 0) && o.padding_behind.empty();
}

/// The voxels that a convolution of these strides and a kernel of one voxel looks at.
Tensor every(const std::vector<int64_t>& stride, Tensor x) {
  for (size_t axis = 0; axis < stride.size(); ++axis)
    x = x.slice(static_cast<int64_t>(axis) + 2, 0, x.size(static_cast<int64_t>(axis) + 2), stride[axis]);
  return x;
}

/// Weight and bias in the type of x; kept in 16 bits where no gradient flows through the cast.
std::pair<Tensor, Tensor> weights_for(const Tensor& x, const DenseWeights& w) {
  if (x.element_size() < 4 && !needs_gradient({w.weight, w.bias})) return cast_weights(w, x.scalar_type());
  return {as_type(w.weight, x.scalar_type()), as_type(w.bias, x.scalar_type())};
}

Tensor by_torch(const Tensor& x, const DenseWeights& w, const ConvolutionOptions& o) {
  const std::vector<int64_t> zeros(o.stride.size(), 0);
  const auto [weight, bias] = weights_for(x, w);
  return torch::convolution(x, weight, bias, o.stride, o.padding, o.dilation, false, zeros, o.groups);
}

}  // namespace

Tensor convolution(const Tensor& given, const DenseWeights& w, const ConvolutionOptions& o,
                   const Epilogue& epilogue) {
  check(given, w, o);
  if (is_strided_pointwise(w.weight, o)) {
    // Of these, oneDNN 2.6 computes wrong gradients on AVX2 and writes behind its memory when doing so,
    // whether it is called from here or by LibTorch.
    ConvolutionOptions dense = o;
    dense.stride.assign(o.stride.size(), 1);
    return convolution(every(o.stride, given), w, dense, epilogue);
  }
  if (onednn::wants_fp32(given))
    return convolution(given.to(torch::kFloat), w, o, as_fp32(epilogue)).to(torch::kBFloat16);
  const bool recorded = needs_gradient({given, w.weight, w.bias, epilogue.residual});
  if (recorded) w.packed.forget();
  if (is_depthwise(given, w.weight, o)) return finish(normed(depthwise(given, w, o), w.norm), epilogue);
  const Tensor x = as_autocast(given);
  if (!is_fast(x, w.weight)) return finish(normed(by_torch(x, w, o), w.norm), epilogue);
  if (recorded)
    return finish(
        normed(ConvolutionFunction::apply(x, w.weight, or_empty(w.bias, w.weight), w.packed, o), w.norm),
        epilogue);
  Tensor y = empty_channels_last(output_sizes(x, w.weight, o), x);
  Epilogue ready = epilogue;
  if (ready.residual.defined()) ready.residual = channels_last(ready.residual.to(y.scalar_type()));
  onednn::convolution(channels_last(x), w, o, ready, y);
  return y;
}

Tensor linear(const Tensor& given, const DenseWeights& w, const Epilogue& epilogue,
              torch::optional<torch::ScalarType> type) {
  const torch::ScalarType result_type = type.value_or(given.scalar_type());
  if (onednn::wants_fp32(given)) return linear(given.to(torch::kFloat), w, as_fp32(epilogue)).to(result_type);
  const bool recorded = needs_gradient({given, w.weight, w.bias, epilogue.residual});
  if (recorded) w.packed.forget();
  const Tensor x = as_autocast(given);
  if (!is_fast(x, w.weight)) {
    const auto [weight, bias] = weights_for(x, w);
    return finish(torch::linear(x, weight, bias).to(result_type), epilogue);
  }
  TORCH_CHECK(x.size(-1) == w.weight.size(1), "linear: expected (..., ", w.weight.size(1), "), got ",
              x.sizes());
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = w.weight.size(0);
  Tensor rows = x.reshape({-1, x.size(-1)});
  if (rows.stride(1) != 1) rows = rows.contiguous();
  if (recorded) {
    const Tensor y = LinearFunction::apply(rows, w.weight, or_empty(w.bias, w.weight), w.packed, result_type);
    return finish(y.view(sizes), epilogue);
  }
  Tensor y = torch::empty({rows.size(0), w.weight.size(0)}, x.options().dtype(result_type));
  Epilogue ready = epilogue;
  if (ready.residual.defined())
    ready.residual = ready.residual.to(result_type).reshape(y.sizes()).contiguous();
  onednn::linear(rows, w, ready, y);
  return y.view(sizes);
}

bool has_bf16_arithmetic() { return onednn::has_bf16_arithmetic(); }

const char* dense_target() { return onednn::target(); }

}  // namespace mambaseg
