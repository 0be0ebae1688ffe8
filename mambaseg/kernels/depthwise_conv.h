#pragma once

#include <array>
#include <cstdint>

#include "mambaseg/kernels/bfloat16.h"
#include "mambaseg/kernels/target.h"

namespace mambaseg {

/// A depthwise convolution (cross-correlation, as neural networks mean it) of one batch item, stride 1, in up
/// to three axes; a 2-D one has extent 1 in the first, a 1-D one in the first two:
///   y[c, o] = bias[c] + sum over taps t of weight[c, t] * x[c, o + t - padding], x being 0 outside.
/// Position (i, j, k) of channel c lies at ((i * extent[1] + j) * extent[2] + k) * position_stride + c *
/// channel_stride; one of the two strides is 1. The output extents say how much padding there is behind.
/// With an order, which only a 1-D convolution of equal extents has, step k of x and of y lies at position
/// order[k]: a convolution along a walk over tokens that stay in their raster order.
struct DepthwiseConv {
  std::array<int64_t, 3> input{1, 1, 1};
  std::array<int64_t, 3> kernel{1, 1, 1};
  std::array<int64_t, 3> padding{0, 0, 0};  ///< in front of each axis; may be negative
  std::array<int64_t, 3> output{1, 1, 1};
  int64_t input_position_stride = 1, input_channel_stride = 1;    ///< of x
  int64_t output_position_stride = 1, output_channel_stride = 1;  ///< of y
  const int32_t* order = nullptr;                                 ///< (extent[2]) or null

  constexpr int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  /// The convolution that gives the gradient of x from that of y, with the taps in reverse order.
  DepthwiseConv transposed() const;
};

/// The part of the work that one call does; calls on different parts may run at the same time.
struct DepthwisePart {
  int64_t channel_begin = 0, channel_end = 0;
  /// Forward: rows of the output (second axis) that the call computes. Weight gradient: planes (first axis)
  /// it sums over.
  int64_t begin = 0, end = 0;
};

/// Floats of scratch, 64-byte aligned, for one call.
int64_t depthwise_conv_scratch(const DepthwiseConv& conv);

/// y from x, T being float or Bfloat16; sums are fp32. weight (channels, taps); bias (channels) or null. With
/// `flipped` the taps are read from last to first, which together with DepthwiseConv::transposed gives the
/// gradient of x.
template <class T>
void depthwise_conv_forward(const DepthwiseConv& conv, const DepthwisePart& part, const T* x,
                            const float* weight, const float* bias, bool flipped, T* y, float* scratch,
                            SimdTarget target = best_target());
template <>
void depthwise_conv_forward(const DepthwiseConv& conv, const DepthwisePart& part, const float* x,
                            const float* weight, const float* bias, bool flipped, float* y, float* scratch,
                            SimdTarget target);
template <>
void depthwise_conv_forward(const DepthwiseConv& conv, const DepthwisePart& part, const Bfloat16* x,
                            const float* weight, const float* bias, bool flipped, Bfloat16* y, float* scratch,
                            SimdTarget target);

/// Adds to grad_weight (channels, taps) and, unless null, to grad_bias (channels).
template <class T>
void depthwise_conv_backward_weight(const DepthwiseConv& conv, const DepthwisePart& part, const T* x,
                                    const T* grad_y, float* grad_weight, float* grad_bias, float* scratch,
                                    SimdTarget target = best_target());
template <>
void depthwise_conv_backward_weight(const DepthwiseConv& conv, const DepthwisePart& part, const float* x,
                                    const float* grad_y, float* grad_weight, float* grad_bias, float* scratch,
                                    SimdTarget target);
template <>
void depthwise_conv_backward_weight(const DepthwiseConv& conv, const DepthwisePart& part, const Bfloat16* x,
                                    const Bfloat16* grad_y, float* grad_weight, float* grad_bias,
                                    float* scratch, SimdTarget target);

/// The specification, in double.
void depthwise_conv_forward_ref(const DepthwiseConv& conv, const DepthwisePart& part, const double* x,
                                const double* weight, const double* bias, bool flipped, double* y);
void depthwise_conv_backward_weight_ref(const DepthwiseConv& conv, const DepthwisePart& part, const double* x,
                                        const double* grad_y, double* grad_weight, double* grad_bias);

}  // namespace mambaseg
