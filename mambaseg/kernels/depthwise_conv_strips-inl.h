// The depthwise convolution goes through the volume in strips of rows. Both layouts are first copied, a strip
// and a few planes at a time, into rows of vectors with one channel per lane and zeros around, so that one
// inner loop serves every layout, padding, type and axis count. Included once per target.

#ifndef MAMBASEG_DEPTHWISE_CONV_STRIP
#define MAMBASEG_DEPTHWISE_CONV_STRIP
#include <algorithm>
#include <type_traits>

#include "mambaseg/kernels/depthwise_conv.h"
#include "mambaseg/kernels/simd_dispatch.h"

namespace mambaseg {
namespace {

constexpr int64_t kMostOutputs = 16;   // that the inner loop computes at once
constexpr int64_t kMostColumns = 256;  // of a strip

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
    const int64_t strips = (conv.output[1] + rows - 1) / rows;
    rows = (conv.output[1] + strips - 1) / strips;
    input_rows = rows + conv.kernel[1] - 1;
  }
  int64_t plane() const { return input_rows * input_columns; }
};

}  // namespace
}  // namespace mambaseg
#endif

#if defined(MAMBASEG_DEPTHWISE_CONV_STRIPS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef MAMBASEG_DEPTHWISE_CONV_STRIPS_INL_H
#undef MAMBASEG_DEPTHWISE_CONV_STRIPS_INL_H
#else
#define MAMBASEG_DEPTHWISE_CONV_STRIPS_INL_H
#endif

#include "mambaseg/kernels/depthwise_conv_copy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

static_assert(kLanes <= kMostLanes);

/// Where a strip of outputs lies: in every plane, rows [row, row + rows), columns [column, column + columns).
struct Place {
  int64_t row, rows, column, columns;
};

/// The planes of x that the output plane at hand needs: plane p of the padded volume lies in slot p mod
/// kernel[0].
template <class T>
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
  void fill(const T* x, const ChannelVector& tile, int64_t plane, const Place& at) const {
    copy_plane(places(x), conv_.input, tile, plane - conv_.padding[0], at.row - conv_.padding[1],
               at.rows + conv_.kernel[1] - 1, at.column - conv_.padding[2], at.columns + conv_.kernel[2] - 1,
               strip_.input_columns, memory_ + plane % conv_.kernel[0] * strip_.plane() * kLanes);
  }

  /// Asks for columns [column, column + columns) of row `row` of the strip in that plane, where the processor
  /// does not foresee them: channels last, one line in several is read.
  HWY_INLINE void ask_for(const T* x, const ChannelVector& tile, int64_t plane, const Place& at, int64_t row,
                          int64_t column, int64_t columns) const {
    if (conv_.input_channel_stride != 1) return;
    const int64_t p = plane - conv_.padding[0], r = at.row + row, first = at.column + column;
    if (p < 0 || p >= conv_.input[0] || r >= conv_.input[1] || first >= conv_.input[2]) return;
    const Positions<const T> from = places(x);
    const int64_t position = (p * conv_.input[1] + r) * conv_.input[2] + first;
    for (int64_t i = 0; i < std::min(columns, conv_.input[2] - first); ++i)
      hwy::Prefetch(from.base + tile.channel + from.place(position + i));
  }

 private:
  HWY_INLINE Positions<const T> places(const T* x) const {
    return {x, conv_.input_position_stride, conv_.input_channel_stride, conv_.order};
  }

  const DepthwiseConv& conv_;
  const Strip& strip_;
  float* memory_;
};

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

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#endif
