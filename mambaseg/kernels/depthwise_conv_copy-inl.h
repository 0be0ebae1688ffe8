// Copies between the layouts of the depthwise convolution and rows of vectors with one channel per lane.
// Included once per target.

#if defined(MAMBASEG_DEPTHWISE_CONV_COPY_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef MAMBASEG_DEPTHWISE_CONV_COPY_INL_H
#undef MAMBASEG_DEPTHWISE_CONV_COPY_INL_H
#else
#define MAMBASEG_DEPTHWISE_CONV_COPY_INL_H
#endif

#include <algorithm>
#include <array>
#include <type_traits>

#include "hwy/cache_control.h"
#include "mambaseg/kernels/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

/// Channels across the lanes of one vector.
struct ChannelVector {
  int64_t channel, count;
};

HWY_INLINE void assign(float value, float& to) { to = value; }
HWY_INLINE void assign(float value, Bfloat16& to) { to = to_bfloat16(value); }

/// out[i] lane j = in[j] lane i.
HWY_INLINE void transpose(const Vec (&in)[kLanes], Vec (&out)[kLanes]) {
#if HWY_TARGET == HWY_SCALAR
  out[0] = in[0];
#else
  const Lanes d;
  const hn::Repartition<double, Lanes> pairs;
  Vec t[kLanes];  // block b of t[4 g + j]: lane 4 b + j of in[4 g] to in[4 g + 3]
  HWY_UNROLL(4)
  for (int64_t g = 0; g < kLanes; g += 4) {
    const auto ab_low = hn::BitCast(pairs, hn::InterleaveLower(d, in[g], in[g + 1]));
    const auto ab_high = hn::BitCast(pairs, hn::InterleaveUpper(d, in[g], in[g + 1]));
    const auto ef_low = hn::BitCast(pairs, hn::InterleaveLower(d, in[g + 2], in[g + 3]));
    const auto ef_high = hn::BitCast(pairs, hn::InterleaveUpper(d, in[g + 2], in[g + 3]));
    t[g] = hn::BitCast(d, hn::InterleaveLower(pairs, ab_low, ef_low));
    t[g + 1] = hn::BitCast(d, hn::InterleaveUpper(pairs, ab_low, ef_low));
    t[g + 2] = hn::BitCast(d, hn::InterleaveLower(pairs, ab_high, ef_high));
    t[g + 3] = hn::BitCast(d, hn::InterleaveUpper(pairs, ab_high, ef_high));
  }
  HWY_UNROLL(4)
  for (int j = 0; j < 4; ++j) {
#if HWY_TARGET <= HWY_AVX3
    const __m512 a = _mm512_shuffle_f32x4(t[j].raw, t[4 + j].raw, 0x44);
    const __m512 b = _mm512_shuffle_f32x4(t[j].raw, t[4 + j].raw, 0xEE);
    const __m512 e = _mm512_shuffle_f32x4(t[8 + j].raw, t[12 + j].raw, 0x44);
    const __m512 f = _mm512_shuffle_f32x4(t[8 + j].raw, t[12 + j].raw, 0xEE);
    out[j] = Vec{_mm512_shuffle_f32x4(a, e, 0x88)};
    out[4 + j] = Vec{_mm512_shuffle_f32x4(a, e, 0xDD)};
    out[8 + j] = Vec{_mm512_shuffle_f32x4(b, f, 0x88)};
    out[12 + j] = Vec{_mm512_shuffle_f32x4(b, f, 0xDD)};
#elif HWY_TARGET == HWY_AVX2
    out[j] = hn::ConcatLowerLower(d, t[4 + j], t[j]);
    out[4 + j] = hn::ConcatUpperUpper(d, t[4 + j], t[j]);
#else
    out[j] = t[j];
#endif
  }
#endif
}

/// Where the positions of x or y lie in memory.
template <class T>
struct Positions {
  T* base;
  int64_t position_stride, channel_stride;
  const int32_t* order;

  HWY_INLINE int64_t place(int64_t i) const { return (order ? order[i] : i) * position_stride; }
};

/// Copies the positions [first, first + size) of a tile to rows of kLanes floats; unused lanes get zeros.
template <class T>
HWY_INLINE void copy_in(const Positions<const T>& from, const ChannelVector& tile, int64_t first,
                        int64_t size, float* to) {
  const Lanes d;
  if (from.channel_stride == 1) {
    for (int64_t i = 0; i < size; ++i) {
      hn::Store(load(from.base + tile.channel + from.place(first + i), tile.count), d, to + i * kLanes);
    }
    return;
  }
  const T* base = from.base + tile.channel * from.channel_stride;
  const int64_t squares = from.order || tile.count < kLanes ? 0 : size / kLanes * kLanes;
  for (int64_t i = 0; i < squares; i += kLanes) {  // every line of memory is met once
    Vec in[kLanes], out[kLanes];
    HWY_UNROLL(16)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      in[lane] = load(base + lane * from.channel_stride + first + i, kLanes);
    transpose(in, out);
    HWY_UNROLL(16)
    for (int64_t j = 0; j < kLanes; ++j) hn::Store(out[j], d, to + (i + j) * kLanes);
  }
  if (tile.count < kLanes) std::fill(to, to + size * kLanes, 0.0f);
  for (int64_t lane = 0; lane < tile.count; ++lane) {
    const T* row = base + lane * from.channel_stride;
    for (int64_t i = squares; i < size; ++i) to[i * kLanes + lane] = to_float(row[from.place(first + i)]);
  }
}

/// To memory, past the caches where `past` is set and a whole vector lies on one line.
template <class T>
HWY_INLINE void store_result(Vec v, T* to, int64_t count, bool past) {
  if constexpr (std::is_same_v<T, float>) {
    const bool aligned = reinterpret_cast<uintptr_t>(to) % (kLanes * sizeof(float)) == 0;
    if (past && aligned && count >= kLanes) return hn::Stream(v, Lanes(), to);
  }
  store(v, to, count);
}

/// The opposite of copy_in: `size` rows of kLanes floats to the positions [first, first + size) of a tile,
/// past the caches if `past`: then hwy::FlushStream has to follow.
template <class T>
HWY_INLINE void copy_out(const float* from, const ChannelVector& tile, int64_t first, int64_t size,
                         const Positions<T>& to, bool past) {
  const Lanes d;
  if (to.channel_stride == 1) {
    for (int64_t i = 0; i < size; ++i) {
      store_result(hn::Load(d, from + i * kLanes), to.base + tile.channel + to.place(first + i), tile.count,
                   past);
    }
    return;
  }
  T* base = to.base + tile.channel * to.channel_stride;
  const int64_t squares = to.order || tile.count < kLanes ? 0 : size / kLanes * kLanes;
  for (int64_t i = 0; i < squares; i += kLanes) {
    Vec in[kLanes], out[kLanes];
    HWY_UNROLL(16)
    for (int64_t j = 0; j < kLanes; ++j) in[j] = hn::Load(d, from + (i + j) * kLanes);
    transpose(in, out);
    HWY_UNROLL(16)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      store_result(out[lane], base + lane * to.channel_stride + first + i, kLanes, past);
  }
  for (int64_t lane = 0; lane < tile.count; ++lane) {
    T* row = base + lane * to.channel_stride;
    for (int64_t i = squares; i < size; ++i) assign(from[i * kLanes + lane], row[to.place(first + i)]);
  }
}

/// Copies rows [row, row + rows) and columns [column, column + columns) of a plane of `extent` to rows of
/// `width` vectors; zeros outside the volume and behind the columns.
template <class T>
void copy_plane(const Positions<const T>& from, const std::array<int64_t, 3>& extent,
                const ChannelVector& tile, int64_t plane, int64_t row, int64_t rows, int64_t column,
                int64_t columns, int64_t width, float* to) {
  const int64_t first = std::clamp<int64_t>(-column, 0, columns);
  const int64_t last = std::clamp<int64_t>(extent[2] - column, first, columns);
  for (int64_t r = 0; r < rows; ++r, to += width * kLanes) {
    if (plane < 0 || plane >= extent[0] || row + r < 0 || row + r >= extent[1]) {
      std::fill(to, to + width * kLanes, 0.0f);
      continue;
    }
    const int64_t position = (plane * extent[1] + row + r) * extent[2] + column + first;
    std::fill(to, to + first * kLanes, 0.0f);
    copy_in(from, tile, position, last - first, to + first * kLanes);
    std::fill(to + last * kLanes, to + width * kLanes, 0.0f);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#endif
