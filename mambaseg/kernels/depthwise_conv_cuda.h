#pragma once

#include <cstdint>

#include "mambaseg/kernels/bfloat16.h"
#include "mambaseg/kernels/depthwise_conv.h"

namespace mambaseg {

/// The depthwise convolution of depthwise_conv.h over a whole batch, on the GPU; item b of x at x + b *
/// input_batch_stride, and so on. `order` of the geometry is device memory.
struct DepthwiseConvCuda {
  DepthwiseConv conv;
  int64_t batch = 0, channels = 0;
  int64_t input_batch_stride = 0, output_batch_stride = 0;
};

/// y from x on `stream`, a cudaStream_t; T is float or Bfloat16, sums are fp32. weight (channels, taps), bias
/// (channels) or null; `flipped` as depthwise_conv_forward has it.
template <class T>
void depthwise_conv_forward_cuda(const DepthwiseConvCuda& conv, const T* x, const float* weight,
                                 const float* bias, bool flipped, T* y, void* stream);

/// Floats of scratch of the weight gradient.
int64_t depthwise_conv_cuda_scratch(const DepthwiseConvCuda& conv);

/// grad_weight (channels, taps) and, unless null, grad_bias (channels). No atomics: same bits every time.
template <class T>
void depthwise_conv_backward_weight_cuda(const DepthwiseConvCuda& conv, const T* x, const T* grad_y,
                                         float* grad_weight, float* grad_bias, float* scratch, void* stream);

}  // namespace mambaseg
