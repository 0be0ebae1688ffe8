// The depthwise convolution: the inner loop keeps several outputs of a row in registers and loads every input
// vector once for all of them.

#include "mambaseg/kernels/depthwise_conv.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/depthwise_conv_forward_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "mambaseg/kernels/depthwise_conv_strips-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

/// (channels, taps) -> to[tap][lane], zeros in unused lanes.
void copy_weight(const float* weight, int64_t taps, const ChannelVector& tile, bool flipped, float* to) {
  std::fill(to, to + taps * kLanes, 0.0f);
  for (int64_t lane = 0; lane < tile.count; ++lane) {
    const float* row = weight + (tile.channel + lane) * taps;
    for (int64_t t = 0; t < taps; ++t) to[t * kLanes + lane] = row[flipped ? taps - 1 - t : t];
  }
}

/// sums[r] += sum over k of weight[k] * in[r + k], K taps along a row; K = 0: `taps` of them.
template <int K, int R>
HWY_INLINE void add_row(const float* HWY_RESTRICT in, const float* HWY_RESTRICT weight, int64_t taps,
                        Vec (&sums)[R]) {
  const Lanes d;
  if constexpr (K == 0) {
    for (int64_t k = 0; k < taps; ++k) {
      const Vec w = hn::Load(d, weight + k * kLanes);
      HWY_UNROLL(16)
      for (int r = 0; r < R; ++r) sums[r] = hn::MulAdd(w, hn::Load(d, in + (r + k) * kLanes), sums[r]);
    }
  } else {
    Vec w[K];
    HWY_UNROLL(16)
    for (int k = 0; k < K; ++k) w[k] = hn::Load(d, weight + k * kLanes);
    HWY_UNROLL(32)
    for (int j = 0; j < R + K - 1; ++j) {
      const Vec v = hn::Load(d, in + j * kLanes);
      HWY_UNROLL(16)
      for (int k = 0; k < K; ++k) {
        if (j - k >= 0 && j - k < R) sums[j - k] = hn::MulAdd(w[k], v, sums[j - k]);
      }
    }
  }
}

/// R outputs of a row of output plane `plane`, to[r][lane]; their first taps meet the copy of x at `offset`.
template <int K, int R, class Ring>
HWY_INLINE void convolve(const DepthwiseConv& conv, const Ring& ring, int64_t plane, int64_t offset,
                         int64_t row_stride, const float* weight, Vec bias, float* to) {
  const Lanes d;
  Vec sums[R];
  HWY_UNROLL(16)
  for (int r = 0; r < R; ++r) sums[r] = bias;
  ring.for_planes(plane, [&](const float* slot) HWY_ATTR {
    for (int64_t b = 0; b < conv.kernel[1]; ++b) {
      add_row<K, R>(slot + offset + b * row_stride, weight, conv.kernel[2], sums);
      weight += conv.kernel[2] * kLanes;
    }
  });
  HWY_UNROLL(16)
  for (int r = 0; r < R; ++r) hn::Store(sums[r], d, to + r * kLanes);
}

/// Calls of(constant<R>) with the outputs of a row to compute at once when `rest` remain.
template <class Function>
HWY_INLINE void with_outputs(int64_t rest, Function of) {
  if (HWY_TARGET <= HWY_AVX3 && rest > 12) return of(std::integral_constant<int, 16>());
  if (HWY_TARGET <= HWY_AVX3 && rest > 8) return of(std::integral_constant<int, 12>());
  if (rest > 4) return of(std::integral_constant<int, 8>());
  of(std::integral_constant<int, 4>());
}

template <class T>
void convolve_part(const DepthwiseConv& conv, const DepthwisePart& part, const T* x, const float* weight,
                   const float* bias, bool flipped, T* y, float* scratch) {
  const Strip strip(conv);
  float* weights = scratch;                             // [tap][lane]
  float* results = weights + conv.taps() * kMostLanes;  // [column][lane]
  const PlaneRing<T> ring(conv, strip, results + kMostOutputs * kMostLanes);
  const Positions<T> to{y, conv.output_position_stride, conv.output_channel_stride, conv.order};
  // What is larger than the caches would push all else out of them, and be read before it is overwritten.
  const bool past = conv.output[0] * conv.output[1] * conv.output[2] *
                        (part.channel_end - part.channel_begin) * static_cast<int64_t>(sizeof(T)) >
                    4 * 1024 * 1024;
  const int64_t row_stride = strip.input_columns * kLanes;
  for_strips(conv, strip, part, part.begin, part.end,
             [&](const Place& at, const ChannelVector& tile) HWY_ATTR {
               copy_weight(weight, conv.taps(), tile, flipped, weights);
               const Vec b = bias ? load(bias + tile.channel, tile.count) : hn::Zero(Lanes());
               // Down the rows, a few columns at a time: what the next row needs as well stays in the L1
               // cache.
               const auto compute = [&](int64_t plane, int64_t column, auto taps, auto outputs) HWY_ATTR {
                 for (int64_t r = 0; r < at.rows; ++r) {
                   ring.ask_for(x, tile, plane + conv.kernel[0], at, r, column, outputs());
                   convolve<taps(), outputs()>(conv, ring, plane, r * row_stride + column * kLanes,
                                               row_stride, weights, b, results);
                   const int64_t row = (plane * conv.output[1] + at.row + r) * conv.output[2] + at.column;
                   copy_out(results, tile, row + column, std::min<int64_t>(outputs(), at.columns - column),
                            to, past);
                 }
               };
               for (int64_t p = 0; p < conv.kernel[0] - 1; ++p) ring.fill(x, tile, p, at);
               for (int64_t plane = 0; plane < conv.output[0]; ++plane) {
                 ring.fill(x, tile, plane + conv.kernel[0] - 1, at);
                 with_taps(conv.kernel[2], [&](auto taps) HWY_ATTR {
                   for (int64_t column = 0; column < at.columns;) {
                     with_outputs(at.columns - column, [&](auto outputs) HWY_ATTR {
                       compute(plane, column, taps, outputs);
                       column += outputs();
                     });
                   }
                 });
               }
             });
  if (past) hwy::FlushStream();
}

void convolve_fp32(const DepthwiseConv& conv, const DepthwisePart& part, const float* x, const float* weight,
                   const float* bias, bool flipped, float* y, float* scratch) {
  convolve_part(conv, part, x, weight, bias, flipped, y, scratch);
}
void convolve_bf16(const DepthwiseConv& conv, const DepthwisePart& part, const Bfloat16* x,
                   const float* weight, const float* bias, bool flipped, Bfloat16* y, float* scratch) {
  convolve_part(conv, part, x, weight, bias, flipped, y, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(convolve_fp32);
HWY_EXPORT(convolve_bf16);

int64_t depthwise_conv_scratch(const DepthwiseConv& conv) {
  const Strip strip(conv);
  return kMostLanes * (2 * conv.taps() + kMostOutputs + strip.rows * strip.output_columns +
                       conv.kernel[0] * strip.plane());
}

template <>
void depthwise_conv_forward(const DepthwiseConv& conv, const DepthwisePart& part, const float* x,
                            const float* weight, const float* bias, bool flipped, float* y, float* scratch,
                            SimdTarget target) {
  HWY_DISPATCH_TABLE(convolve_fp32)
  [table_index(target)](conv, part, x, weight, bias, flipped, y, scratch);
}
template <>
void depthwise_conv_forward(const DepthwiseConv& conv, const DepthwisePart& part, const Bfloat16* x,
                            const float* weight, const float* bias, bool flipped, Bfloat16* y, float* scratch,
                            SimdTarget target) {
  HWY_DISPATCH_TABLE(convolve_bf16)
  [table_index(target)](conv, part, x, weight, bias, flipped, y, scratch);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
