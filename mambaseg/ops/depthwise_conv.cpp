#include "mambaseg/ops/depthwise_conv.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "mambaseg/kernels/depthwise_conv.h"

namespace mambaseg {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kChannelBlock = 16;  // a whole number of SIMD vectors on every target

/// [begin, end) of piece `index` of `pieces` of `size` things, in whole blocks.
std::pair<int64_t, int64_t> piece(int64_t size, int64_t pieces, int64_t index, int64_t block) {
  const int64_t blocks = (size + block - 1) / block;
  return {std::min(size, blocks * index / pieces * block),
          std::min(size, blocks * (index + 1) / pieces * block)};
}

/// Pieces of the rows or planes, so that there are at least as many calls as threads.
int64_t pieces_of(int64_t calls, int64_t size) {
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  return calls % threads == 0 ? 1 : std::min(size, (2 * threads + calls - 1) / calls);
}

// The kernels of either type under one name.
void run_forward(const DepthwiseConv& conv, const DepthwisePart& part, const float* x, const float* weight,
                 const float* bias, bool flipped, float* y, float* scratch) {
  depthwise_conv_forward(conv, part, x, weight, bias, flipped, y, scratch);
}
void run_forward(const DepthwiseConv& conv, const DepthwisePart& part, const double* x, const double* weight,
                 const double* bias, bool flipped, double* y, double*) {
  depthwise_conv_forward_ref(conv, part, x, weight, bias, flipped, y);
}
void run_weight(const DepthwiseConv& conv, const DepthwisePart& part, const float* x, const float* grad_y,
                float* grad_weight, float* grad_bias, float* scratch) {
  depthwise_conv_backward_weight(conv, part, x, grad_y, grad_weight, grad_bias, scratch);
}
void run_weight(const DepthwiseConv& conv, const DepthwisePart& part, const double* x, const double* grad_y,
                double* grad_weight, double* grad_bias, double*) {
  depthwise_conv_backward_weight_ref(conv, part, x, grad_y, grad_weight, grad_bias);
}

template <class T>
T* data_or_null(const Tensor& tensor) {
  return tensor.defined() ? tensor.data_ptr<T>() : nullptr;
}

/// Pieces of the channels: wide ones use whole rows of memory, narrow ones balance.
int64_t channel_pieces(int64_t channels) {
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  const int64_t blocks = (channels + kChannelBlock - 1) / kChannelBlock;
  return blocks < 4 * threads ? blocks : threads;
}

/// do_call(call, scratch) for the calls [0, calls), shared by the threads.
template <class T, class Function>
void for_calls(const DepthwiseConv& conv, const Tensor& like, int64_t calls, Function do_call) {
  const int64_t workers = std::min<int64_t>(calls, at::in_parallel_region() ? 1 : at::get_num_threads());
  const Tensor scratch =
      torch::empty({workers, (depthwise_conv_scratch(conv) + 15) / 16 * 16}, like.options());
  at::parallel_for(0, workers, 1, [&](int64_t first, int64_t last) {
    for (int64_t worker = first; worker < last; ++worker) {
      for (int64_t call = calls * worker / workers; call < calls * (worker + 1) / workers; ++call) {
        do_call(call, scratch.data_ptr<T>() + worker * scratch.stride(0));
      }
    }
  });
}

/// y from x, both (B, ...) and contiguous in the layout of `conv`.
template <class T>
void convolve(const DepthwiseConv& conv, const Tensor& x, const Tensor& weight, const Tensor& bias,
              bool flipped, const Tensor& y) {
  const int64_t batch = x.size(0), channels = weight.size(0);
  const int64_t ranges = channel_pieces(channels), pieces = pieces_of(batch * ranges, conv.output[1]);
  for_calls<T>(conv, x, batch * ranges * pieces, [&](int64_t call, T* scratch) {
    const int64_t b = call / (ranges * pieces);
    const auto [c_begin, c_end] = piece(channels, ranges, call / pieces % ranges, kChannelBlock);
    const auto [begin, end] = piece(conv.output[1], pieces, call % pieces, 1);
    const DepthwisePart part{c_begin, c_end, begin, end};
    run_forward(conv, part, x.data_ptr<T>() + b * x.stride(0), weight.data_ptr<T>(), data_or_null<T>(bias),
                flipped, y.data_ptr<T>() + b * y.stride(0), scratch);
  });
}

/// The gradients of the weight (C, taps) and, when `with_bias`, of the bias (C). Every call sums into its own
/// copy; the copies are added in their order.
template <class T>
std::pair<Tensor, Tensor> weight_gradient(const DepthwiseConv& conv, const Tensor& x, const Tensor& grad_y,
                                          int64_t channels, bool with_bias) {
  const int64_t batch = x.size(0), planes = conv.output[0], ranges = channel_pieces(channels);
  // Batch items and planes are cut into `pieces` sums; a piece is a range of (item, plane) pairs.
  const int64_t pieces = pieces_of(ranges, batch * planes);
  const Tensor weights = torch::zeros({pieces, channels, conv.taps()}, x.options());
  const Tensor biases = with_bias ? torch::zeros({pieces, channels}, x.options()) : Tensor();
  for_calls<T>(conv, x, ranges * pieces, [&](int64_t call, T* scratch) {
    const int64_t index = call % pieces;
    const auto [c_begin, c_end] = piece(channels, ranges, call / pieces, kChannelBlock);
    const auto [begin, end] = piece(batch * planes, pieces, index, 1);
    for (int64_t at = begin; at < end;) {
      const int64_t b = at / planes, stop = std::min(end, (b + 1) * planes);
      const DepthwisePart part{c_begin, c_end, at - b * planes, stop - b * planes};
      run_weight(conv, part, x.data_ptr<T>() + b * x.stride(0), grad_y.data_ptr<T>() + b * grad_y.stride(0),
                 weights.data_ptr<T>() + index * weights.stride(0),
                 with_bias ? biases.data_ptr<T>() + index * biases.stride(0) : nullptr, scratch);
      at = stop;
    }
  });
  const auto total = [](const Tensor& t) { return !t.defined() ? t : t.size(0) == 1 ? t[0] : t.sum(0); };
  return {total(weights), total(biases)};
}

DepthwiseConv make_conv(const Tensor& x, const Tensor& weight, const std::vector<int64_t>& front,
                        const std::vector<int64_t>& back, bool channels_last) {
  const int64_t axes = x.dim() - 2, channels = weight.size(0);
  DepthwiseConv conv;
  for (int64_t axis = 0; axis < axes; ++axis) {
    const int64_t at = 3 - axes + axis;
    conv.input[at] = x.size(channels_last ? 1 + axis : 2 + axis);
    conv.kernel[at] = weight.size(2 + axis);
    conv.padding[at] = front[axis];
    conv.output[at] = conv.input[at] + front[axis] + back[axis] - conv.kernel[at] + 1;
    TORCH_CHECK(conv.output[at] > 0, "depthwise_conv: expected an input of at least ",
                conv.kernel[at] - front[axis] - back[axis], " along spatial axis ", axis, ", got ",
                conv.input[at]);
  }
  const auto volume = [](const std::array<int64_t, 3>& extent) { return extent[0] * extent[1] * extent[2]; };
  conv.position_stride = channels_last ? channels : 1;
  conv.input_channel_stride = channels_last ? 1 : volume(conv.input);
  conv.output_channel_stride = channels_last ? 1 : volume(conv.output);
  return conv;
}

std::vector<int64_t> output_sizes(const DepthwiseConv& conv, const Tensor& x, bool channels_last) {
  std::vector<int64_t> sizes = x.sizes().vec();
  for (int64_t axis = 0; axis < x.dim() - 2; ++axis) {
    sizes[channels_last ? 1 + axis : 2 + axis] = conv.output[5 - x.dim() + axis];
  }
  return sizes;
}

class DepthwiseConvFunction : public torch::autograd::Function<DepthwiseConvFunction> {
 public:
  /// `bias` is empty when there is none: autograd functions of LibTorch 1.13 take no undefined tensors.
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const std::vector<int64_t>& front, const std::vector<int64_t>& back,
                        bool channels_last) {
    const DepthwiseConv conv = make_conv(x, weight, front, back, channels_last);
    const Tensor y = torch::empty(output_sizes(conv, x, channels_last), x.options());
    const Tensor given = bias.numel() > 0 ? bias : Tensor();
    if (x.scalar_type() == torch::kDouble) {
      convolve<double>(conv, x, weight, given, false, y);
    } else {
      convolve<float>(conv, x, weight, given, false, y);
    }
    ctx->save_for_backward({x, weight});
    ctx->saved_data["with_bias"] = given.defined();
    ctx->saved_data["front"] = front;
    ctx->saved_data["back"] = back;
    ctx->saved_data["channels_last"] = channels_last;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    const DepthwiseConv conv =
        make_conv(x, weight, ctx->saved_data["front"].toIntVector(), ctx->saved_data["back"].toIntVector(),
                  ctx->saved_data["channels_last"].toBool());
    const bool with_bias = ctx->saved_data["with_bias"].toBool();
    const Tensor grad_y = grad_outputs[0].contiguous();
    const Tensor grad_x = torch::empty_like(x);
    std::pair<Tensor, Tensor> gradients;
    if (x.scalar_type() == torch::kDouble) {
      convolve<double>(conv.transposed(), grad_y, weight, Tensor(), true, grad_x);
      gradients = weight_gradient<double>(conv, x, grad_y, weight.size(0), with_bias);
    } else {
      convolve<float>(conv.transposed(), grad_y, weight, Tensor(), true, grad_x);
      gradients = weight_gradient<float>(conv, x, grad_y, weight.size(0), with_bias);
    }
    return {grad_x, gradients.first.reshape(weight.sizes()), gradients.second, Tensor(), Tensor(), Tensor()};
  }
};

/// Elsewhere than on the CPU LibTorch's own grouped convolution does the work.
Tensor on_device(const Tensor& x, const Tensor& weight, const Tensor& bias, const std::vector<int64_t>& front,
                 const std::vector<int64_t>& back, bool channels_last) {
  std::vector<int64_t> padding;  // as constant_pad_nd wants it: last axis first
  for (size_t axis = front.size(); axis-- > 0;) padding.insert(padding.end(), {front[axis], back[axis]});
  const Tensor first = torch::constant_pad_nd(channels_last ? x.movedim(-1, 1) : x, padding);
  const std::vector<int64_t> ones(front.size(), 1), zeros(front.size(), 0);
  const Tensor y = torch::convolution(first, weight, bias, ones, zeros, ones, false, zeros, weight.size(0));
  return channels_last ? y.movedim(1, -1).contiguous() : y;
}

}  // namespace

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
  std::vector<int64_t> front = options.padding, back = options.padding;
  if (options.causal) {
    TORCH_CHECK(axes == 1, "depthwise_conv: expected one spatial axis for a causal convolution, got ", axes);
    front = {weight.size(2) - 1};
    back = {0};
  }
  TORCH_CHECK(static_cast<int64_t>(front.size()) == axes, "depthwise_conv: expected ", axes,
              " paddings, got ", front.size());
  if (!x.device().is_cpu()) return on_device(x, weight, bias, front, back, options.channels_last);
  const auto type = x.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const auto prepared = [&](const Tensor& t) { return t.to(type).contiguous(); };
  const Tensor single = prepared(x);
  const Tensor no_bias = torch::empty({0}, single.options().requires_grad(false));
  return DepthwiseConvFunction::apply(single, prepared(weight), bias.defined() ? prepared(bias) : no_bias,
                                      front, back, options.channels_last)
      .to(x.scalar_type());
}

}  // namespace mambaseg
