// The fp32 depthwise convolution. Both layouts are first copied, a strip of rows and a few planes at a time,
// into rows of vectors with one channel per lane and zeros around, so that one inner loop serves every
// layout, padding and axis count: it keeps several outputs (or the sums of several taps) in registers and
// loads every input vector once for all of them.

#include "mambaseg/kernels/depthwise_conv.h"

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/depthwise_conv_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "mambaseg/kernels/vector_math-inl.h"

#ifndef MAMBASEG_DEPTHWISE_CONV_SHARED
#define MAMBASEG_DEPTHWISE_CONV_SHARED
namespace mambaseg {
namespace {

constexpr int64_t kMostLanes = 16;
constexpr int64_t kMostOutputs = 16;   // that the inner loop computes at once
constexpr int64_t kMostColumns = 256;  // of a strip

int64_t round_up(int64_t size, int64_t step) { return (size + step - 1) / step * step; }

/// The outputs of one strip, `rows` by `columns` in every plane, and the sizes of the copies that they need.
struct Strip {
  int64_t rows, columns;
  int64_t input_rows, input_columns;  // of one plane of the copy of x
  int64_t output_columns;             // of the copy of grad_y

  Strip(const DepthwiseConv& conv) {
    columns = std::min(conv.output[2], kMostColumns);
    output_columns = round_up(columns, kMostOutputs);
    input_columns = output_columns + conv.kernel[2] - 1;
    // 640 KiB for the planes that one output plane needs, so that they stay in the second-level cache.
    const int64_t fit = 640 * 1024 / (4 * kMostLanes * input_columns * conv.kernel[0]);
    rows = std::clamp<int64_t>(fit - (conv.kernel[1] - 1), 1, conv.output[1]);
    input_rows = rows + conv.kernel[1] - 1;
  }
  int64_t plane() const { return input_rows * input_columns; }
};

}  // namespace
}  // namespace mambaseg
#endif

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

static_assert(kLanes <= kMostLanes);

/// Channels across the lanes of one vector.
struct ChannelVector {
  int64_t channel, count;
};

/// to[i][j] = from[j][i] for four rows of four floats.
HWY_INLINE void transpose_4x4(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t j = 0; j < 4; ++j) to[i * to_stride + j] = from[j * from_stride + i];
  }
#else
  const hn::Full128<float> d;
  const hn::Full128<double> pairs;
  const auto a = hn::LoadU(d, from), b = hn::LoadU(d, from + from_stride);
  const auto e = hn::LoadU(d, from + 2 * from_stride), f = hn::LoadU(d, from + 3 * from_stride);
  const auto ab_low = hn::BitCast(pairs, hn::InterleaveLower(d, a, b));
  const auto ab_high = hn::BitCast(pairs, hn::InterleaveUpper(d, a, b));
  const auto ef_low = hn::BitCast(pairs, hn::InterleaveLower(d, e, f));
  const auto ef_high = hn::BitCast(pairs, hn::InterleaveUpper(d, e, f));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, ab_low, ef_low)), d, to);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, ab_low, ef_low)), d, to + to_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, ab_high, ef_high)), d, to + 2 * to_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, ab_high, ef_high)), d, to + 3 * to_stride);
#endif
}

/// Copies `size` positions of a tile to rows of kLanes floats; unused lanes get zeros.
HWY_INLINE void copy_in(const float* from, int64_t position_stride, int64_t channel_stride,
                        const ChannelVector& tile, int64_t size, float* to) {
  const Lanes d;
  if (channel_stride == 1) {
    for (int64_t i = 0; i < size; ++i) {
      hn::Store(load(from + tile.channel + i * position_stride, tile.count), d, to + i * kLanes);
    }
    return;
  }
  if (tile.count < kLanes) std::fill(to, to + size * kLanes, 0.0f);
  const int64_t fours = kLanes >= 4 ? size / 4 * 4 : 0;
  for (int64_t lane = 0; lane < tile.count;) {
    const float* row = from + (tile.channel + lane) * channel_stride;
    const bool four = tile.count - lane >= 4;
    for (int64_t i = 0; four && i < fours; i += 4)
      transpose_4x4(row + i, channel_stride, to + i * kLanes + lane, kLanes);
    for (const int64_t end = lane + (four ? 4 : 1); lane < end; ++lane, row += channel_stride) {
      for (int64_t i = four ? fours : 0; i < size; ++i) to[i * kLanes + lane] = row[i];
    }
  }
}

/// The opposite: `size` rows of kLanes floats to the positions of a tile.
HWY_INLINE void copy_out(const float* from, int64_t size, float* to, int64_t position_stride,
                         int64_t channel_stride, const ChannelVector& tile) {
  const Lanes d;
  if (channel_stride == 1) {
    for (int64_t i = 0; i < size; ++i) {
      store(hn::Load(d, from + i * kLanes), to + tile.channel + i * position_stride, tile.count);
    }
    return;
  }
  const int64_t fours = kLanes >= 4 ? size / 4 * 4 : 0;
  for (int64_t lane = 0; lane < tile.count;) {
    float* row = to + (tile.channel + lane) * channel_stride;
    const bool four = tile.count - lane >= 4;
    for (int64_t i = 0; four && i < fours; i += 4)
      transpose_4x4(from + i * kLanes + lane, kLanes, row + i, channel_stride);
    for (const int64_t end = lane + (four ? 4 : 1); lane < end; ++lane, row += channel_stride) {
      for (int64_t i = four ? fours : 0; i < size; ++i) row[i] = from[i * kLanes + lane];
    }
  }
}

/// Copies rows [row, row + rows) and columns [column, column + columns) of a plane of `extent` to rows of
/// `width` vectors; zeros outside the volume and behind the columns.
void copy_plane(const float* base, const std::array<int64_t, 3>& extent, int64_t position_stride,
                int64_t channel_stride, const ChannelVector& tile, int64_t plane, int64_t row, int64_t rows,
                int64_t column, int64_t columns, int64_t width, float* to) {
  const int64_t first = std::clamp<int64_t>(-column, 0, columns);
  const int64_t last = std::clamp<int64_t>(extent[2] - column, first, columns);
  for (int64_t r = 0; r < rows; ++r, to += width * kLanes) {
    if (plane < 0 || plane >= extent[0] || row + r < 0 || row + r >= extent[1]) {
      std::fill(to, to + width * kLanes, 0.0f);
      continue;
    }
    const int64_t position = (plane * extent[1] + row + r) * extent[2] + column + first;
    std::fill(to, to + first * kLanes, 0.0f);
    copy_in(base + position * position_stride, position_stride, channel_stride, tile, last - first,
            to + first * kLanes);
    std::fill(to + last * kLanes, to + width * kLanes, 0.0f);
  }
}

/// (channels, taps) -> to[tap][lane], zeros in unused lanes.
void copy_weight(const float* weight, int64_t taps, const ChannelVector& tile, bool flipped, float* to) {
  std::fill(to, to + taps * kLanes, 0.0f);
  for (int64_t lane = 0; lane < tile.count; ++lane) {
    const float* row = weight + (tile.channel + lane) * taps;
    for (int64_t t = 0; t < taps; ++t) to[t * kLanes + lane] = row[flipped ? taps - 1 - t : t];
  }
}

/// Where a strip of outputs lies: in every plane, rows [row, row + rows), columns [column, column + columns).
struct Place {
  int64_t row, rows, column, columns;
};

/// The planes of x that the output plane at hand needs: plane p of the padded volume lies in slot p mod
/// kernel[0].
class PlaneRing {
 public:
  PlaneRing(const DepthwiseConv& conv, const Strip& strip, float* memory)
      : conv_(conv), strip_(strip), memory_(memory) {}

  /// Calls of(copy) for the planes that output plane `plane` needs, in the order of the taps.
  template <class Function>
  HWY_INLINE void for_planes(int64_t plane, Function of) const {
    const int64_t size = strip_.plane() * kLanes, first = plane % conv_.kernel[0];
    for (int64_t a = first; a < conv_.kernel[0]; ++a) of(memory_ + a * size);
    for (int64_t a = 0; a < first; ++a) of(memory_ + a * size);
  }

  /// Copies plane `plane`, counted with the padding in front, of the strip at `at`.
  void fill(const float* x, const ChannelVector& tile, int64_t plane, const Place& at) const {
    copy_plane(x, conv_.input, conv_.position_stride, conv_.input_channel_stride, tile,
               plane - conv_.padding[0], at.row - conv_.padding[1], at.rows + conv_.kernel[1] - 1,
               at.column - conv_.padding[2], at.columns + conv_.kernel[2] - 1, strip_.input_columns,
               memory_ + plane % conv_.kernel[0] * strip_.plane() * kLanes);
  }

 private:
  const DepthwiseConv& conv_;
  const Strip& strip_;
  float* memory_;
};

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
template <int K, int R>
HWY_INLINE void convolve(const DepthwiseConv& conv, const PlaneRing& ring, int64_t plane, int64_t offset,
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

/// The outputs of one row of a strip.
template <int K>
void convolve_row(const DepthwiseConv& conv, const PlaneRing& ring, int64_t plane, int64_t offset,
                  int64_t row_stride, const float* weight, Vec bias, int64_t columns, float* to) {
  int64_t c = 0;
  while (c < columns) {
    const int64_t rest = columns - c, at = offset + c * kLanes;
    if (HWY_TARGET <= HWY_AVX3 && rest > 8) {
      convolve<K, 16>(conv, ring, plane, at, row_stride, weight, bias, to + c * kLanes);
      c += 16;
    } else if (rest > 4) {
      convolve<K, 8>(conv, ring, plane, at, row_stride, weight, bias, to + c * kLanes);
      c += 8;
    } else {
      convolve<K, 4>(conv, ring, plane, at, row_stride, weight, bias, to + c * kLanes);
      c += 4;
    }
  }
}

/// Calls of(constant<K>) with the taps along a row as a constant, 0 for a number that has no loop of its own.
template <class Function>
HWY_INLINE void with_taps(int64_t taps, Function of) {
  if (taps == 3) return of(std::integral_constant<int, 3>());
  if (taps == 4) return of(std::integral_constant<int, 4>());
  if (taps == 5) return of(std::integral_constant<int, 5>());
  if (taps == 7) return of(std::integral_constant<int, 7>());
  if (taps == 9) return of(std::integral_constant<int, 9>());
  of(std::integral_constant<int, 0>());
}

/// Calls of(place, channels) for the strips between the rows, and for the channels of the part, one vector
/// after the other, inside: so that neighbours in memory are read soon after each other.
template <class Function>
HWY_INLINE void for_strips(const DepthwiseConv& conv, const Strip& strip, const DepthwisePart& part,
                           int64_t row_begin, int64_t row_end, Function of) {
  for (int64_t row = row_begin; row < row_end; row += strip.rows) {
    for (int64_t column = 0; column < conv.output[2]; column += strip.columns) {
      const Place place{row, std::min(strip.rows, row_end - row), column,
                        std::min(strip.columns, conv.output[2] - column)};
      for (int64_t c = part.channel_begin; c < part.channel_end; c += kLanes) {
        of(place, ChannelVector{c, std::min(kLanes, part.channel_end - c)});
      }
    }
  }
}

void depthwise_forward(const DepthwiseConv& conv, const DepthwisePart& part, const float* x,
                       const float* weight, const float* bias, bool flipped, float* y, float* scratch) {
  const Strip strip(conv);
  float* weights = scratch;                             // [tap][lane]
  float* results = weights + conv.taps() * kMostLanes;  // [column][lane]
  const PlaneRing ring(conv, strip, results + strip.output_columns * kMostLanes);
  const int64_t row_stride = strip.input_columns * kLanes;
  for_strips(
      conv, strip, part, part.begin, part.end, [&](const Place& at, const ChannelVector& tile) HWY_ATTR {
        copy_weight(weight, conv.taps(), tile, flipped, weights);
        const Vec b = bias ? load(bias + tile.channel, tile.count) : hn::Zero(Lanes());
        for (int64_t p = 0; p < conv.kernel[0] - 1; ++p) ring.fill(x, tile, p, at);
        for (int64_t plane = 0; plane < conv.output[0]; ++plane) {
          ring.fill(x, tile, plane + conv.kernel[0] - 1, at);
          for (int64_t r = 0; r < at.rows; ++r) {
            with_taps(conv.kernel[2], [&](auto taps) HWY_ATTR {
              convolve_row<taps()>(conv, ring, plane, r * row_stride, row_stride, weights, b, at.columns,
                                   results);
            });
            const int64_t position = (plane * conv.output[1] + at.row + r) * conv.output[2] + at.column;
            copy_out(results, at.columns, y + position * conv.position_stride, conv.position_stride,
                     conv.output_channel_stride, tile);
          }
        }
      });
}

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

void depthwise_backward_weight(const DepthwiseConv& conv, const DepthwisePart& part, const float* x,
                               const float* grad_y, float* grad_weight, float* grad_bias, float* scratch) {
  const Lanes d;
  const Strip strip(conv);
  float* sums = scratch;                          // [tap][lane], of one strip
  float* grad = sums + conv.taps() * kMostLanes;  // [row][column][lane]
  const PlaneRing ring(conv, strip, grad + strip.rows * strip.output_columns * kMostLanes);
  const int64_t row_stride = strip.input_columns * kLanes, grad_stride = strip.output_columns * kLanes;
  for_strips(conv, strip, part, 0, conv.output[1], [&](const Place& at, const ChannelVector& tile) HWY_ATTR {
    std::fill(sums, sums + conv.taps() * kLanes, 0.0f);
    Vec bias_sum = hn::Zero(d);
    for (int64_t p = 0; p < conv.kernel[0] - 1; ++p) ring.fill(x, tile, part.begin + p, at);
    for (int64_t plane = part.begin; plane < part.end; ++plane) {
      ring.fill(x, tile, plane + conv.kernel[0] - 1, at);
      copy_plane(grad_y, conv.output, conv.position_stride, conv.output_channel_stride, tile, plane, at.row,
                 at.rows, at.column, at.columns, strip.output_columns, grad);
      for (int64_t r = 0; r < at.rows; ++r) {
        const float* grad_row = grad + r * grad_stride;
        float* tap_sums = sums;
        with_taps(conv.kernel[2], [&](auto taps) HWY_ATTR {
          ring.for_planes(plane, [&](const float* slot) HWY_ATTR {
            for (int64_t b = 0; b < conv.kernel[1]; ++b, tap_sums += conv.kernel[2] * kLanes) {
              add_products<taps()>(slot + (r + b) * row_stride, grad_row, at.columns, conv.kernel[2],
                                   tap_sums);
            }
          });
        });
        Vec row_sum = hn::Zero(d);
        for (int64_t i = 0; i < at.columns; ++i)
          row_sum = hn::Add(row_sum, hn::Load(d, grad_row + i * kLanes));
        bias_sum = hn::Add(bias_sum, row_sum);
      }
    }
    for (int64_t lane = 0; lane < tile.count; ++lane) {
      float* row = grad_weight + (tile.channel + lane) * conv.taps();
      for (int64_t t = 0; t < conv.taps(); ++t) row[t] += sums[t * kLanes + lane];
    }
    if (grad_bias) {
      float* to = grad_bias + tile.channel;
      store(hn::Add(load(to, tile.count), bias_sum), to, tile.count);
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(depthwise_forward);
HWY_EXPORT(depthwise_backward_weight);

namespace {
/// Where Highway's tables of functions have the one for `target`.
size_t table_index(SimdTarget target) {
  hwy::ChosenTarget chosen;
  chosen.Update(target.bit);
  return chosen.GetIndex();
}
}  // namespace

int64_t depthwise_conv_scratch(const DepthwiseConv& conv) {
  const Strip strip(conv);
  return kMostLanes *
         (conv.taps() + (strip.rows + 1) * strip.output_columns + conv.kernel[0] * strip.plane());
}

void depthwise_conv_forward(const DepthwiseConv& conv, const DepthwisePart& part, const float* x,
                            const float* weight, const float* bias, bool flipped, float* y, float* scratch,
                            SimdTarget target) {
  HWY_DISPATCH_TABLE(depthwise_forward)
  [table_index(target)](conv, part, x, weight, bias, flipped, y, scratch);
}

void depthwise_conv_backward_weight(const DepthwiseConv& conv, const DepthwisePart& part, const float* x,
                                    const float* grad_y, float* grad_weight, float* grad_bias, float* scratch,
                                    SimdTarget target) {
  HWY_DISPATCH_TABLE(depthwise_backward_weight)
  [table_index(target)](conv, part, x, grad_y, grad_weight, grad_bias, scratch);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
