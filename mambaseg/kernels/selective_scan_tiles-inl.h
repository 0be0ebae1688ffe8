// What the forward and backward pass of the fp32 selective scan share: channels lie across the lanes of a few
// vectors (a tile), the states of a tile stay in the caches, and the walk is followed step by step: no
// permuted copy of the tokens is made. Included once per target.

#if defined(MAMBASEG_SELECTIVE_SCAN_TILES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef MAMBASEG_SELECTIVE_SCAN_TILES_INL_H
#undef MAMBASEG_SELECTIVE_SCAN_TILES_INL_H
#else
#define MAMBASEG_SELECTIVE_SCAN_TILES_INL_H
#endif

#include <algorithm>
#include <type_traits>

#include "hwy/cache_control.h"
#include "mambaseg/kernels/selective_scan.h"
#include "mambaseg/kernels/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

template <class Input>
using Scan = SelectiveScan<float, Input>;

/// Subnormal numbers are flushed to zero while this lives: a state that decays towards zero would slow every
/// step down.
class FlushSubnormals {
 public:
#if HWY_ARCH_X86
  FlushSubnormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }
  ~FlushSubnormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#else
  FlushSubnormals() {}
#endif
};

/// Some channels of one group, across the lanes of a few vectors.
struct Tile {
  int64_t channel;
  int64_t count;
  int64_t place;  ///< lanes before this tile's, where per-lane scratch is laid out tile after tile

  /// Channels in vector v and behind.
  int64_t of(int v) const { return count - v * kLanes; }
};

template <class I>
HWY_INLINE int64_t token(const Scan<I>& s, int64_t t) {
  const int64_t step = s.backwards ? s.length - 1 - t : t;
  return s.order ? s.order[step] : step;
}

template <class I>
HWY_INLINE int64_t group_of(const Scan<I>& s, int64_t channel) {
  return channel / (s.channels / s.groups);
}

/// `count` numbers as floats: where they are, or for bf16 a copy at `copy`, which takes whole vectors.
HWY_INLINE const float* as_floats(const float* from, int64_t, float*) { return from; }
HWY_INLINE const float* as_floats(const Bfloat16* from, int64_t count, float* copy) {
  const Lanes d;
  for (int64_t i = 0; i < count; i += kLanes) hn::Store(load(from + i, count - i), d, copy + i);
  return copy;
}

/// Row of B or C for a token: the group's states. Null when the operand does not depend on the token.
template <class I>
HWY_INLINE const float* state_row(const I* base, int64_t stride, const Scan<I>& s, int64_t p, int64_t group,
                                  float* copy) {
  return stride == 0 ? nullptr : as_floats(base + p * stride + group * s.states, s.states, copy);
}

/// (channels, states) -> to[n][v][lane] for the channels of a tile, zero in unused lanes; times `factor`,
/// within 1e12.
template <int V, class T>
void transpose(const T* from, int64_t states, const Tile& tile, float factor, float* to) {
  for (int64_t lane = 0; lane < V * kLanes; ++lane) {
    for (int64_t n = 0; n < states; ++n) {
      const float value =
          lane < tile.count ? to_float(from[(tile.channel + lane) * states + n]) * factor : 0.0f;
      to[n * V * kLanes + lane] = std::min(std::max(value, -1e12f), 1e12f);
    }
  }
}

/// Adds from[n][v][lane] to the (channels, states) at `to`.
template <int V>
void add_transposed(const float* from, int64_t states, const Tile& tile, float* to) {
  for (int64_t lane = 0; lane < tile.count; ++lane) {
    for (int64_t n = 0; n < states; ++n)
      to[(tile.channel + lane) * states + n] += from[n * V * kLanes + lane];
  }
}

/// The same without adding.
template <int V>
void copy_transposed(const float* from, int64_t states, const Tile& tile, float* to) {
  for (int64_t lane = 0; lane < tile.count; ++lane) {
    for (int64_t n = 0; n < states; ++n) to[(tile.channel + lane) * states + n] = from[n * V * kLanes + lane];
  }
}

/// What the states (or their gradients) start with: those given, or zeros.
template <int V>
void start_states(const float* given, int64_t states, const Tile& tile, float* to) {
  if (given) return transpose<V>(given, states, tile, 1.0f, to);
  std::fill(to, to + states * V * kLanes, 0.0f);
}

HWY_INLINE Vec bounded(Vec dt) {
  const Lanes d;
  return hn::Min(hn::Max(dt, hn::Set(d, -1e12f)), hn::Set(d, 1e12f));
}

constexpr float kLog2e = 1.44269504f;

/// Steps between asking for a row and using it. The rows of a walk lie anywhere, which no hardware foresees.
constexpr int64_t kAhead = 4;

template <int V, class T>
HWY_INLINE void prefetch_row(const T* base, int64_t stride, int64_t p, const Tile& tile) {
  const T* row = base + p * stride + tile.channel;
  for (int v = 0; v < V; ++v) hwy::Prefetch(row + v * kLanes);
}

/// Calls of(tile) for the channels of the call: tiles of `width` channels, within one group; what remains of
/// a group in tiles of half the width, a quarter, and so on, and the rest of a vector last.
template <class I, class Function>
HWY_INLINE void for_tiles(const Scan<I>& s, int64_t width, Function of) {
  const int64_t group_size = s.channels / s.groups;
  int64_t place = 0;
  for (int64_t c = s.channel_begin; c < s.channel_end;) {
    const int64_t rest = std::min(s.channel_end, (c / group_size + 1) * group_size) - c;
    int64_t lanes = width;
    while (lanes > kLanes && lanes > rest) lanes /= 2;
    of(Tile{c, std::min(lanes, rest), place});
    c += std::min(lanes, rest);
    place += lanes;
  }
}

/// Calls of(constant<V>) with the number of vectors of a tile as a constant.
template <class Function>
HWY_INLINE void with_vectors(const Tile& tile, Function of) {
  if (tile.count > 2 * kLanes) return of(std::integral_constant<int, 4>());
  if (tile.count > kLanes) return of(std::integral_constant<int, 2>());
  of(std::integral_constant<int, 1>());
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#endif
