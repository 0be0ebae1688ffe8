// The gradients of weight and bias: the inner loop keeps the sums of a row of taps in registers and loads
// every input vector once for all of them.

#include "mambaseg/kernels/depthwise_conv.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/depthwise_conv_weight_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "mambaseg/kernels/depthwise_conv_strips-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

/// sums[k] += sum over the columns of in[column + k] * grad[column]; both have zeros or sense up to a
/// multiple of P.
template <int K>
HWY_INLINE void add_products(const float* HWY_RESTRICT in, const float* HWY_RESTRICT grad, int64_t columns,
                             int64_t taps, float* HWY_RESTRICT sums) {
  const Lanes d;
  constexpr int P = HWY_TARGET <= HWY_AVX3 ? 8 : 4;
  if constexpr (K == 0) {
    for (int64_t k = 0; k < taps; ++k) {
      Vec sum = hn::Zero(d);
      for (int64_t c = 0; c < columns; ++c) {
        sum = hn::MulAdd(hn::Load(d, in + (c + k) * kLanes), hn::Load(d, grad + c * kLanes), sum);
      }
      hn::Store(hn::Add(hn::Load(d, sums + k * kLanes), sum), d, sums + k * kLanes);
    }
  } else {
    Vec sum[K];
    HWY_UNROLL(16)
    for (int k = 0; k < K; ++k) sum[k] = hn::Zero(d);
    for (int64_t c = 0; c < columns; c += P) {
      Vec g[P];
      HWY_UNROLL(16)
      for (int i = 0; i < P; ++i) g[i] = hn::Load(d, grad + (c + i) * kLanes);
      HWY_UNROLL(32)
      for (int j = 0; j < P + K - 1; ++j) {
        const Vec v = hn::Load(d, in + (c + j) * kLanes);
        HWY_UNROLL(16)
        for (int k = 0; k < K; ++k) {
          if (j - k >= 0 && j - k < P) sum[k] = hn::MulAdd(v, g[j - k], sum[k]);
        }
      }
    }
    HWY_UNROLL(16)
    for (int k = 0; k < K; ++k)
      hn::Store(hn::Add(hn::Load(d, sums + k * kLanes), sum[k]), d, sums + k * kLanes);
  }
}

template <class T>
void weight_gradient(const DepthwiseConv& conv, const DepthwisePart& part, const T* x, const T* grad_y,
                     float* grad_weight, float* grad_bias, float* scratch) {
  const Lanes d;
  const Strip strip(conv);
  constexpr int64_t kColumns = 16;
  float* totals = scratch;                          // [tap][lane], of one strip
  float* sums = totals + conv.taps() * kMostLanes;  // [tap][lane], of one plane of it
  float* grad = sums + conv.taps() * kMostLanes;    // [row][column][lane]
  const PlaneRing<T> ring(conv, strip, grad + strip.rows * strip.output_columns * kMostLanes);
  const Positions<const T> grad_places{grad_y, conv.output_position_stride, conv.output_channel_stride,
                                       conv.order};
  const int64_t row_stride = strip.input_columns * kLanes, grad_stride = strip.output_columns * kLanes;
  for_strips(conv, strip, part, 0, conv.output[1], [&](const Place& at, const ChannelVector& tile) HWY_ATTR {
    std::fill(totals, totals + conv.taps() * kLanes, 0.0f);
    Vec bias_sum = hn::Zero(d);
    for (int64_t p = 0; p < conv.kernel[0] - 1; ++p) ring.fill(x, tile, part.begin + p, at);
    for (int64_t plane = part.begin; plane < part.end; ++plane) {
      ring.fill(x, tile, plane + conv.kernel[0] - 1, at);
      copy_plane(grad_places, conv.output, tile, plane, at.row, at.rows, at.column, at.columns,
                 strip.output_columns, grad);
      std::fill(sums, sums + conv.taps() * kLanes, 0.0f);
      // Down the rows, a few columns at a time: what the next row needs as well stays in the L1 cache.
      for (int64_t column = 0; column < at.columns; column += kColumns) {
        const int64_t columns = std::min(kColumns, at.columns - column);
        for (int64_t r = 0; r < at.rows; ++r) {
          const float* grad_row = grad + r * grad_stride + column * kLanes;
          ring.ask_for(x, tile, plane + conv.kernel[0], at, r, column, columns);
          float* tap_sums = sums;
          with_taps(conv.kernel[2], [&](auto taps) HWY_ATTR {
            ring.for_planes(plane, [&](const float* slot) HWY_ATTR {
              const float* in = slot + r * row_stride + column * kLanes;
              for (int64_t b = 0; b < conv.kernel[1]; ++b, tap_sums += conv.kernel[2] * kLanes)
                add_products<taps()>(in + b * row_stride, grad_row, columns, conv.kernel[2], tap_sums);
            });
          });
          Vec row_sum = hn::Zero(d);
          for (int64_t i = 0; i < columns; ++i)
            row_sum = hn::Add(row_sum, hn::Load(d, grad_row + i * kLanes));
          bias_sum = hn::Add(bias_sum, row_sum);
        }
      }
      // Plane by plane, so that few numbers are added to a large sum.
      for (int64_t i = 0; i < conv.taps() * kLanes; i += kLanes)
        hn::Store(hn::Add(hn::Load(d, totals + i), hn::Load(d, sums + i)), d, totals + i);
    }
    for (int64_t lane = 0; lane < tile.count; ++lane) {
      float* row = grad_weight + (tile.channel + lane) * conv.taps();
      for (int64_t t = 0; t < conv.taps(); ++t) row[t] += totals[t * kLanes + lane];
    }
    if (grad_bias) {
      float* to = grad_bias + tile.channel;
      store(hn::Add(load(to, tile.count), bias_sum), to, tile.count);
    }
  });
}

void weight_gradient_fp32(const DepthwiseConv& conv, const DepthwisePart& part, const float* x,
                          const float* grad_y, float* grad_weight, float* grad_bias, float* scratch) {
  weight_gradient(conv, part, x, grad_y, grad_weight, grad_bias, scratch);
}
void weight_gradient_bf16(const DepthwiseConv& conv, const DepthwisePart& part, const Bfloat16* x,
                          const Bfloat16* grad_y, float* grad_weight, float* grad_bias, float* scratch) {
  weight_gradient(conv, part, x, grad_y, grad_weight, grad_bias, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(weight_gradient_fp32);
HWY_EXPORT(weight_gradient_bf16);

template <>
void depthwise_conv_backward_weight(const DepthwiseConv& conv, const DepthwisePart& part, const float* x,
                                    const float* grad_y, float* grad_weight, float* grad_bias, float* scratch,
                                    SimdTarget target) {
  HWY_DISPATCH_TABLE(weight_gradient_fp32)
  [table_index(target)](conv, part, x, grad_y, grad_weight, grad_bias, scratch);
}
template <>
void depthwise_conv_backward_weight(const DepthwiseConv& conv, const DepthwisePart& part, const Bfloat16* x,
                                    const Bfloat16* grad_y, float* grad_weight, float* grad_bias,
                                    float* scratch, SimdTarget target) {
  HWY_DISPATCH_TABLE(weight_gradient_bf16)
  [table_index(target)](conv, part, x, grad_y, grad_weight, grad_bias, scratch);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
