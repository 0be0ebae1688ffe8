#include "mambaseg/ops/depthwise_conv.h"

#include <torch/autograd.h>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/depthwise_conv_parts.h"
#include "mambaseg/ops/gate.h"
#include "mambaseg/ops/implementation.h"
#include "mambaseg/ops/plain_libtorch.h"

namespace mambaseg {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Whether the positions of x lie evenly, with contiguous channels: the rows of a wider tensor, for example.
bool has_even_rows(const Tensor& x) {
  if (x.stride(-1) != 1) return false;
  for (int64_t axis = 1; axis + 2 < x.dim(); ++axis) {
    if (x.stride(axis) != x.size(axis + 1) * x.stride(axis + 1)) return false;
  }
  return true;
}

DepthwiseConv make_conv(const Tensor& x, const Tensor& weight, const DepthwiseGeometry& geometry) {
  const int64_t axes = x.dim() - 2, channels = weight.size(0);
  DepthwiseConv conv;
  for (int64_t axis = 0; axis < axes; ++axis) {
    const int64_t at = 3 - axes + axis;
    const int64_t padding = geometry.front[axis] + geometry.back[axis];
    conv.input[at] = x.size(geometry.channels_last ? 1 + axis : 2 + axis);
    conv.kernel[at] = weight.size(2 + axis);
    conv.padding[at] = geometry.front[axis];
    conv.output[at] = conv.input[at] + padding - conv.kernel[at] + 1;
  }
  const auto volume = [](const std::array<int64_t, 3>& extent) { return extent[0] * extent[1] * extent[2]; };
  // The stride of an axis of one place says nothing, so a contiguous x is known by its sizes.
  conv.input_position_stride = !geometry.channels_last ? 1 : has_even_rows(x) ? x.stride(-2) : channels;
  conv.input_channel_stride = geometry.channels_last ? 1 : volume(conv.input);
  conv.output_position_stride = geometry.channels_last ? channels : 1;
  conv.output_channel_stride = geometry.channels_last ? 1 : volume(conv.output);
  if (geometry.order_L.defined()) conv.order = geometry.order_L.data_ptr<int32_t>();
  return conv;
}

std::vector<int64_t> output_sizes(const DepthwiseConv& conv, const Tensor& x, bool channels_last) {
  std::vector<int64_t> sizes = x.sizes().vec();
  for (int64_t axis = 0; axis < x.dim() - 2; ++axis) {
    sizes[channels_last ? 1 + axis : 2 + axis] = conv.output[5 - x.dim() + axis];
  }
  return sizes;
}

using Forward = decltype(depthwise_forward_cpu);
using WeightGradient = decltype(depthwise_weight_gradient_cpu);

/// By our kernel of a device.
template <Forward& convolve>
Tensor forward_by_kernel(const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const DepthwiseGeometry& geometry) {
  const DepthwiseConv conv = make_conv(x, weight, geometry);
  const Tensor y = torch::empty(output_sizes(conv, x, geometry.channels_last), x.options());
  convolve(conv, x, weight, bias, false, y);
  return y;
}

template <Forward& convolve, WeightGradient& weight_gradient>
DepthwiseGradients backward_by_kernel(const Tensor& x, const Tensor& weight, bool with_bias,
                                      const DepthwiseGeometry& geometry, const Tensor& grad) {
  const DepthwiseConv conv = make_conv(x, weight, geometry);
  const Tensor grad_y = grad.contiguous();
  const Tensor grad_x = torch::empty(x.sizes(), x.options());
  DepthwiseConv transposed = conv.transposed();
  if (geometry.channels_last) transposed.output_position_stride = weight.size(0);
  convolve(transposed, grad_y, weight, Tensor(), true, grad_x);
  const auto gradients = weight_gradient(conv, x, grad_y, weight.size(0), with_bias);
  return {grad_x, gradients.first.reshape(weight.sizes()), gradients.second};
}

/// Zeros that a convolution of LibTorch does not put around its input itself, the last axis first; none where
/// it does.
std::vector<int64_t> explicit_padding(const DepthwiseGeometry& geometry) {
  std::vector<int64_t> padding;
  if (geometry.front == geometry.back) return padding;
  for (size_t axis = geometry.front.size(); axis-- > 0;)
    padding.insert(padding.end(), {geometry.front[axis], geometry.back[axis]});
  return padding;
}
std::vector<int64_t> own_padding(const DepthwiseGeometry& geometry) {
  return geometry.front == geometry.back ? geometry.front : std::vector<int64_t>(geometry.front.size(), 0);
}

/// (B, C, spatial...), in the order of the walk; and back.
Tensor to_libtorch(const Tensor& x, const DepthwiseGeometry& geometry) {
  const Tensor first = geometry.channels_last ? x.movedim(-1, 1) : x;
  return geometry.order_L.defined() ? first.index_select(-1, geometry.order_L.to(torch::kLong)) : first;
}
Tensor from_libtorch(const Tensor& given, const DepthwiseGeometry& geometry) {
  Tensor y = given;
  if (geometry.order_L.defined())
    y = torch::zeros_like(y).index_copy(-1, geometry.order_L.to(torch::kLong), y);
  return geometry.channels_last ? y.movedim(1, -1) : y;
}

/// By LibTorch's grouped convolution; differentiable as it is.
Tensor forward_by_libtorch(const Tensor& x, const Tensor& weight, const Tensor& bias,
                           const DepthwiseGeometry& geometry) {
  const std::vector<int64_t> ones(geometry.front.size(), 1), zeros(geometry.front.size(), 0);
  const auto same_type = [&](const Tensor& t) { return t.defined() ? t.to(x.scalar_type()) : t; };
  Tensor given = to_libtorch(x, geometry);
  const std::vector<int64_t> around = explicit_padding(geometry);
  if (!around.empty()) given = torch::constant_pad_nd(given, around);
  return from_libtorch(torch::convolution(given, same_type(weight), same_type(bias), ones,
                                          own_padding(geometry), ones, false, zeros, weight.size(0)),
                       geometry);
}

DepthwiseGradients backward_by_libtorch(const Tensor& x, const Tensor& weight, bool with_bias,
                                        const DepthwiseGeometry& geometry, const Tensor& grad) {
  const std::vector<int64_t> ones(geometry.front.size(), 1), zeros(geometry.front.size(), 0);
  Tensor given = to_libtorch(x, geometry);
  std::vector<int64_t> around = explicit_padding(geometry);
  if (!around.empty()) given = torch::constant_pad_nd(given, around);
  const std::vector<int64_t> bias_sizes{weight.size(0)};
  auto [grad_x, grad_weight, grad_bias] = at::convolution_backward(
      to_libtorch(grad, geometry).contiguous(), given.contiguous(), weight.to(x.scalar_type()), bias_sizes,
      ones, own_padding(geometry), ones, false, zeros, weight.size(0), {true, true, with_bias});
  for (int64_t& width : around) width = -width;
  if (!around.empty()) grad_x = torch::constant_pad_nd(grad_x, around);
  return {from_libtorch(grad_x, geometry), grad_weight.to(weight.scalar_type()),
          with_bias ? grad_bias.to(weight.scalar_type()) : Tensor()};
}

/// Where LibTorch's own depthwise kernels, of fp32 in two and three axes, were measured to be faster than
/// ours (docs/gpu.md): for all gradients, and for 3^3 forward, channels first as they want it.
bool libtorch_is_faster(const DepthwiseCall& call) {
  if (!call.device.is_cuda() || call.type != torch::kFloat || call.kernel.size() < 2) return false;
  return call.backward || (call.kernel == std::vector<int64_t>{3, 3, 3} && !call.channels_last);
}

std::string why_not_cuda(const DepthwiseCall& call) {
  if (!call.device.is_cuda()) return concat("the operands are on ", call.device);
  if (!call.cuda_kernels) return "this program was built without CUDA kernels";
  if (call.type == torch::kDouble) return "the kernel computes no double";
  if (libtorch_is_faster(call)) return "LibTorch's own kernel is faster here";
  return {};
}

std::string why_not_libtorch_cuda(const DepthwiseCall& call) {
  if (!call.device.is_cuda()) return concat("the operands are on ", call.device);
  return libtorch_is_faster(call) ? std::string() : "our kernel is as fast, or LibTorch has none";
}

std::string why_not_cpu(const DepthwiseCall& call) {
  return call.device.is_cpu() ? std::string() : concat("the operands are on ", call.device);
}

const DepthwiseImplementation& chosen(const Tensor& x, const Tensor& weight,
                                      const DepthwiseGeometry& geometry, bool backward) {
  const DepthwiseCall call{x.device(),
                           x.scalar_type(),
                           cuda_kernels_built(),
                           weight.sizes().slice(2).vec(),
                           geometry.channels_last,
                           backward};
  return choose("depthwise_conv", kDepthwiseImplementations, call);
}

class DepthwiseConvFunction : public torch::autograd::Function<DepthwiseConvFunction> {
 public:
  /// `bias` is empty when there is none: autograd functions of LibTorch 1.13 take no undefined tensors.
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const DepthwiseGeometry& geometry, Activation activation) {
    const Tensor given = bias.numel() > 0 ? bias : Tensor();
    ctx->save_for_backward({x, weight, geometry.order_L, given});
    ctx->saved_data["activation"] = static_cast<int64_t>(activation);
    ctx->saved_data["front"] = geometry.front;
    ctx->saved_data["back"] = geometry.back;
    ctx->saved_data["channels_last"] = geometry.channels_last;
    return finish(chosen(x, weight, geometry, false).forward(x, weight, given, geometry), {activation, {}});
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &bias = saved[3];
    const DepthwiseGeometry geometry{ctx->saved_data["front"].toIntVector(),
                                     ctx->saved_data["back"].toIntVector(),
                                     ctx->saved_data["channels_last"].toBool(), saved[2]};
    const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    Tensor dy = grad_outputs[0];
    if (activation != Activation::none)
      dy = gate_gradient(dy, {}, chosen(x, weight, geometry, false).forward(x, weight, bias, geometry),
                         activation);
    const DepthwiseGradients g =
        chosen(x, weight, geometry, true).backward(x, weight, bias.defined(), geometry, dy);
    return {g.x, g.weight, g.bias, Tensor(), Tensor()};
  }
};

/// By what is chosen for each pass.
Tensor by_choice(const Tensor& x, const Tensor& weight, const Tensor& bias, const DepthwiseGeometry& geometry,
                 Activation activation) {
  const torch::Dtype sum_type = x.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const torch::Dtype type = x.scalar_type() == torch::kBFloat16 ? torch::kBFloat16 : sum_type;
  const auto prepared = [&](const Tensor& t) { return t.to(sum_type).contiguous(); };
  const Tensor converted = x.to(type);
  const Tensor laid_out =
      geometry.channels_last && has_even_rows(converted) ? converted : converted.contiguous();
  const Tensor single = prepared(weight);
  const Tensor no_bias = torch::empty({0}, single.options().requires_grad(false));
  return DepthwiseConvFunction::apply(laid_out, single, bias.defined() ? prepared(bias) : no_bias, geometry,
                                      activation)
      .to(x.scalar_type());
}

}  // namespace

const DepthwiseImplementation kDepthwiseImplementations[4] = {
    {"CUDA kernel", why_not_cuda, forward_by_kernel<depthwise_forward_cuda>,
     backward_by_kernel<depthwise_forward_cuda, depthwise_weight_gradient_cuda>},
    {"LibTorch's CUDA kernel", why_not_libtorch_cuda, forward_by_libtorch, backward_by_libtorch},
    {"CPU kernel", why_not_cpu, forward_by_kernel<depthwise_forward_cpu>,
     backward_by_kernel<depthwise_forward_cpu, depthwise_weight_gradient_cpu>},
    {"LibTorch", [](const DepthwiseCall&) { return std::string(); }, forward_by_libtorch,
     backward_by_libtorch}};

Tensor depthwise_conv(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const DepthwiseConvOptions& options) {
  TORCH_CHECK(x.defined() && x.dim() >= 3 && x.dim() <= 5, "depthwise_conv: expected x of 3, 4 or 5 axes");
  const int64_t axes = x.dim() - 2, channels = x.size(options.channels_last ? -1 : 1);
  TORCH_CHECK(
      weight.defined() && weight.dim() == x.dim() && weight.size(0) == channels && weight.size(1) == 1,
      "depthwise_conv: expected a weight (", channels, ", 1, taps...) of ", x.dim(), " axes, got ",
      weight.defined() ? weight.sizes() : torch::IntArrayRef());
  TORCH_CHECK(x.numel() > 0 && weight.numel() > 0, "depthwise_conv: expected no empty axis, got x ",
              x.sizes(), ", weight ", weight.sizes());
  TORCH_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == channels),
              "depthwise_conv: expected a bias of ", channels, " numbers");
  for (const Tensor& t : {x, weight, bias}) {
    TORCH_CHECK(!t.defined() || (t.device() == x.device() && torch::isFloatingType(t.scalar_type())),
                "depthwise_conv: expected real floating-point tensors on one device");
  }
  TORCH_CHECK(!options.order_L.defined() || options.order_L.device() == x.device(),
              "depthwise_conv: expected the order on ", x.device(), " as x, got it on ",
              options.order_L.defined() ? options.order_L.device() : x.device());
  DepthwiseGeometry geometry{options.padding, options.padding, options.channels_last, options.order_L};
  if (options.causal) {
    TORCH_CHECK(axes == 1, "depthwise_conv: expected one spatial axis for a causal convolution, got ", axes);
    geometry.front = {weight.size(2) - 1};
    geometry.back = {0};
  }
  TORCH_CHECK(static_cast<int64_t>(geometry.front.size()) == axes, "depthwise_conv: expected ", axes,
              " paddings, got ", geometry.front.size());
  for (int64_t axis = 0; axis < axes; ++axis) {
    const int64_t length = x.size(options.channels_last ? 1 + axis : 2 + axis),
                  least = weight.size(2 + axis) - geometry.front[axis] - geometry.back[axis];
    TORCH_CHECK(length >= least, "depthwise_conv: expected an input of at least ", least,
                " along spatial axis ", axis, ", got ", length);
  }
  if (const Tensor& order = geometry.order_L; order.defined()) {
    const int64_t length = x.size(options.channels_last ? 1 : 2);
    TORCH_CHECK(axes == 1 && geometry.front[0] + geometry.back[0] + 1 == weight.size(2) &&
                    order.scalar_type() == torch::kInt32 && order.is_contiguous() &&
                    order.sizes() == torch::IntArrayRef({length}),
                "depthwise_conv: expected an order of ", length,
                " int32 along the only axis and a result as long as x, got ", order.sizes());
  }
  return PlainLibTorchGuard::active()
             ? activate(forward_by_libtorch(x, weight, bias, geometry), options.activation)
             : by_choice(x, weight, bias, geometry, options.activation);
}

}  // namespace mambaseg
