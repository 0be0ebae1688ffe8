// The depthwise convolution on the CPU: how the threads share it.

#include <ATen/Parallel.h>

#include <algorithm>

#include "mambaseg/ops/depthwise_conv_parts.h"

namespace mambaseg {
namespace {

using torch::Tensor;

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

// The kernels of every type under one name.
template <class T>
void run_forward(const DepthwiseConv& conv, const DepthwisePart& part, const T* x, const float* weight,
                 const float* bias, bool flipped, T* y, float* scratch) {
  depthwise_conv_forward(conv, part, x, weight, bias, flipped, y, scratch);
}
void run_forward(const DepthwiseConv& conv, const DepthwisePart& part, const double* x, const double* weight,
                 const double* bias, bool flipped, double* y, double*) {
  depthwise_conv_forward_ref(conv, part, x, weight, bias, flipped, y);
}
template <class T>
void run_weight(const DepthwiseConv& conv, const DepthwisePart& part, const T* x, const T* grad_y,
                float* grad_weight, float* grad_bias, float* scratch) {
  depthwise_conv_backward_weight(conv, part, x, grad_y, grad_weight, grad_bias, scratch);
}
void run_weight(const DepthwiseConv& conv, const DepthwisePart& part, const double* x, const double* grad_y,
                double* grad_weight, double* grad_bias, double*) {
  depthwise_conv_backward_weight_ref(conv, part, x, grad_y, grad_weight, grad_bias);
}

template <class T>
T* data_of(const Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

/// Pieces of the channels: wide ones use whole rows of memory, narrow ones balance.
int64_t channel_pieces(int64_t channels) {
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  const int64_t blocks = (channels + kChannelBlock - 1) / kChannelBlock;
  return blocks < 4 * threads ? blocks : threads;
}

/// do_call(call, scratch) for the calls [0, calls), shared by the threads.
template <class S, class Function>
void for_calls(const DepthwiseConv& conv, torch::Dtype type, int64_t calls, Function do_call) {
  const int64_t workers = std::min<int64_t>(calls, at::in_parallel_region() ? 1 : at::get_num_threads());
  const Tensor scratch = torch::empty({workers, (depthwise_conv_scratch(conv) + 15) / 16 * 16}, type);
  at::parallel_for(0, workers, 1, [&](int64_t first, int64_t last) {
    for (int64_t worker = first; worker < last; ++worker) {
      for (int64_t call = calls * worker / workers; call < calls * (worker + 1) / workers; ++call) {
        do_call(call, data_of<S>(scratch) + worker * scratch.stride(0));
      }
    }
  });
}

/// T of x and y, S of the sums.
template <class T, class S>
void convolve(const DepthwiseConv& conv, const Tensor& x, const Tensor& weight, const Tensor& bias,
              bool flipped, const Tensor& y) {
  const int64_t batch = x.size(0), channels = weight.size(0);
  const int64_t ranges = channel_pieces(channels), pieces = pieces_of(batch * ranges, conv.output[1]);
  for_calls<S>(conv, weight.scalar_type(), batch * ranges * pieces, [&](int64_t call, S* scratch) {
    const int64_t b = call / (ranges * pieces);
    const auto [c_begin, c_end] = piece(channels, ranges, call / pieces % ranges, kChannelBlock);
    const auto [begin, end] = piece(conv.output[1], pieces, call % pieces, 1);
    const DepthwisePart part{c_begin, c_end, begin, end};
    run_forward(conv, part, static_cast<const T*>(data_of<T>(x) + b * x.stride(0)), data_of<S>(weight),
                data_of<S>(bias), flipped, data_of<T>(y) + b * y.stride(0), scratch);
  });
}

/// Every call sums into its own copy; the copies are added in their order.
template <class T, class S>
std::pair<Tensor, Tensor> weight_gradient(const DepthwiseConv& conv, const Tensor& x, const Tensor& grad_y,
                                          int64_t channels, bool with_bias) {
  const int64_t batch = x.size(0), planes = conv.output[0], ranges = channel_pieces(channels);
  // Batch items and planes are cut into `pieces` sums; a piece is a range of (item, plane) pairs.
  const int64_t pieces = pieces_of(ranges, batch * planes);
  const torch::Dtype type = x.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const Tensor weights = torch::zeros({pieces, channels, conv.taps()}, type);
  const Tensor biases = with_bias ? torch::zeros({pieces, channels}, type) : Tensor();
  for_calls<S>(conv, type, ranges * pieces, [&](int64_t call, S* scratch) {
    const int64_t index = call % pieces;
    const auto [c_begin, c_end] = piece(channels, ranges, call / pieces, kChannelBlock);
    const auto [begin, end] = piece(batch * planes, pieces, index, 1);
    for (int64_t at = begin; at < end;) {
      const int64_t b = at / planes, stop = std::min(end, (b + 1) * planes);
      const DepthwisePart part{c_begin, c_end, at - b * planes, stop - b * planes};
      run_weight(conv, part, static_cast<const T*>(data_of<T>(x) + b * x.stride(0)),
                 static_cast<const T*>(data_of<T>(grad_y) + b * grad_y.stride(0)),
                 data_of<S>(weights) + index * weights.stride(0),
                 with_bias ? data_of<S>(biases) + index * biases.stride(0) : nullptr, scratch);
      at = stop;
    }
  });
  const auto total = [](const Tensor& t) { return !t.defined() ? t : t.size(0) == 1 ? t[0] : t.sum(0); };
  return {total(weights), total(biases)};
}

}  // namespace

void depthwise_forward_cpu(const DepthwiseConv& conv, const Tensor& x, const Tensor& weight,
                           const Tensor& bias, bool flipped, const Tensor& y) {
  if (x.scalar_type() == torch::kDouble) return convolve<double, double>(conv, x, weight, bias, flipped, y);
  if (x.scalar_type() == torch::kBFloat16)
    return convolve<Bfloat16, float>(conv, x, weight, bias, flipped, y);
  convolve<float, float>(conv, x, weight, bias, flipped, y);
}

std::pair<Tensor, Tensor> depthwise_weight_gradient_cpu(const DepthwiseConv& conv, const Tensor& x,
                                                        const Tensor& grad_y, int64_t channels,
                                                        bool with_bias) {
  if (x.scalar_type() == torch::kDouble)
    return weight_gradient<double, double>(conv, x, grad_y, channels, with_bias);
  if (x.scalar_type() == torch::kBFloat16)
    return weight_gradient<Bfloat16, float>(conv, x, grad_y, channels, with_bias);
  return weight_gradient<float, float>(conv, x, grad_y, channels, with_bias);
}

}  // namespace mambaseg
