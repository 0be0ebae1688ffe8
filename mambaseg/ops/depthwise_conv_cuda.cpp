// The depthwise convolution on the GPU, on LibTorch's stream.

#include "mambaseg/kernels/depthwise_conv_cuda.h"

#include <c10/core/DeviceGuard.h>

#include "mambaseg/ops/cuda_stream.h"
#include "mambaseg/ops/depthwise_conv_parts.h"

namespace mambaseg {
namespace {

using torch::Tensor;

template <class T>
T* data_of(const Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

DepthwiseConvCuda batch_of(const DepthwiseConv& conv, const Tensor& x, const Tensor& y, int64_t channels) {
  return {conv, x.size(0), channels, x.stride(0), y.stride(0)};
}

template <class T>
void convolve(const DepthwiseConvCuda& conv, const Tensor& x, const Tensor& weight, const Tensor& bias,
              bool flipped, const Tensor& y, void* stream) {
  depthwise_conv_forward_cuda<T>(conv, data_of<T>(x), data_of<float>(weight), data_of<float>(bias), flipped,
                                 data_of<T>(y), stream);
}

}  // namespace

void depthwise_forward_cuda(const DepthwiseConv& conv, const Tensor& x, const Tensor& weight,
                            const Tensor& bias, bool flipped, const Tensor& y) {
  const DepthwiseConvCuda batch = batch_of(conv, x, y, weight.size(0));
  const c10::DeviceGuard guard(x.device());
  void* stream = current_cuda_stream(x.device());
  if (x.scalar_type() == torch::kBFloat16) {
    convolve<Bfloat16>(batch, x, weight, bias, flipped, y, stream);
  } else {
    convolve<float>(batch, x, weight, bias, flipped, y, stream);
  }
  check_cuda_launches();
}

std::pair<Tensor, Tensor> depthwise_weight_gradient_cuda(const DepthwiseConv& conv, const Tensor& x,
                                                         const Tensor& grad_y, int64_t channels,
                                                         bool with_bias) {
  const DepthwiseConvCuda batch = batch_of(conv, x, grad_y, channels);
  const c10::DeviceGuard guard(x.device());
  void* stream = current_cuda_stream(x.device());
  const auto options = x.options().dtype(torch::kFloat);
  const Tensor weight = torch::empty({channels, conv.taps()}, options);
  const Tensor bias = with_bias ? torch::empty({channels}, options) : Tensor();
  const Tensor scratch = torch::empty({depthwise_conv_cuda_scratch(batch)}, options);
  const auto run = [&](auto type) {
    using T = decltype(type);
    depthwise_conv_backward_weight_cuda<T>(batch, data_of<T>(x), data_of<T>(grad_y), data_of<float>(weight),
                                           data_of<float>(bias), data_of<float>(scratch), stream);
  };
  if (x.scalar_type() == torch::kBFloat16) {
    run(Bfloat16{});
  } else {
    run(0.0f);
  }
  check_cuda_launches();
  return {weight, bias};
}

}  // namespace mambaseg
