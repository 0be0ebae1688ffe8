// The fp32 selective scan. Channels lie across the lanes of a few vectors (a tile), the states of a tile stay
// in the caches, and the walk is followed step by step: no permuted copy of the tokens is made.

#include "mambaseg/kernels/selective_scan.h"

#include <algorithm>
#include <type_traits>

#include "hwy/cache_control.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/selective_scan_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "mambaseg/kernels/vector_math-inl.h"

#ifndef MAMBASEG_SELECTIVE_SCAN_SHARED
#define MAMBASEG_SELECTIVE_SCAN_SHARED
namespace mambaseg {
namespace {
constexpr int64_t kMostLanes = 16;
constexpr int64_t kForwardArrays = 4;   // of (states, channels), see ForwardStore
constexpr int64_t kBackwardArrays = 7;  // see BackwardStore

/// Vectors of a tile in the backward pass: as many as keep a chunk's states and decays within 512 KiB.
int64_t backward_vectors(int64_t states) {
  const int64_t fit = 4096 / (selective_scan_chunk(states) * states);
  return fit >= 4 ? 4 : fit >= 2 ? 2 : 1;
}
}  // namespace
}  // namespace mambaseg
#endif

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

static_assert(kLanes <= kMostLanes);

using Scan = SelectiveScan<float>;
using Output = SelectiveScanOutput<float>;
using Gradients = SelectiveScanGradients<float>;

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

HWY_INLINE int64_t token(const Scan& s, int64_t t) {
  const int64_t step = s.backwards ? s.length - 1 - t : t;
  return s.order ? s.order[step] : step;
}

HWY_INLINE int64_t group_of(const Scan& s, int64_t channel) { return channel / (s.channels / s.groups); }

/// Row of B or C for a token: the group's states, or null when the operand does not depend on the token.
HWY_INLINE const float* state_row(const float* base, int64_t stride, const Scan& s, int64_t p,
                                  int64_t group) {
  return base + p * stride + group * s.states;
}

/// (channels, states) -> to[n][v][lane] for the channels of a tile, zero in unused lanes; times `factor`,
/// within 1e12.
template <int V>
void transpose(const float* from, const Scan& s, const Tile& tile, float factor, float* to) {
  for (int64_t lane = 0; lane < V * kLanes; ++lane) {
    for (int64_t n = 0; n < s.states; ++n) {
      const float value = lane < tile.count ? from[(tile.channel + lane) * s.states + n] * factor : 0.0f;
      to[n * V * kLanes + lane] = std::min(std::max(value, -1e12f), 1e12f);
    }
  }
}

/// Adds from[n][v][lane] to the (channels, states) at `to`.
template <int V>
void add_transposed(const float* from, const Scan& s, const Tile& tile, float* to) {
  for (int64_t lane = 0; lane < tile.count; ++lane) {
    for (int64_t n = 0; n < s.states; ++n)
      to[(tile.channel + lane) * s.states + n] += from[n * V * kLanes + lane];
  }
}

HWY_INLINE Vec bounded(Vec dt) {
  const Lanes d;
  return hn::Min(hn::Max(dt, hn::Set(d, -1e12f)), hn::Set(d, 1e12f));
}

constexpr float kLog2e = 1.44269504f;

/// Steps between asking for a row and using it. The rows of a walk lie anywhere, which no hardware foresees.
constexpr int64_t kAhead = 4;

template <int V>
HWY_INLINE void prefetch_row(const float* base, int64_t stride, int64_t p, const Tile& tile) {
  const float* row = base + p * stride + tile.channel;
  for (int v = 0; v < V; ++v) hwy::Prefetch(row + v * kLanes);
}

/// Calls of(tile) for the channels of the call: tiles of `width` channels, within one group; what remains of
/// a group in tiles of half the width, a quarter, and so on, and the rest of a vector last.
template <class Function>
HWY_INLINE void for_tiles(const Scan& s, int64_t width, Function of) {
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

/// What the forward pass keeps of a tile along the walk: [n][v][lane] each.
struct ForwardStore {
  float *x, *A, *B, *C;  // A times log2 e; B and C only when they do not depend on the token

  ForwardStore(float* scratch, const Scan& s, const Tile& tile, int64_t width)
      : x(scratch + tile.place * s.states * kForwardArrays),
        A(x + s.states * width),
        B(A + s.states * width),
        C(B + s.states * width) {}
};

/// Steps [begin, end) of one tile. With kConstant, B or C (or both) do not depend on the token.
template <int V, bool kConstant>
void forward_chunk(const Scan& s, const Output& out, const Tile& tile, int64_t begin, int64_t end,
                   const ForwardStore& keep) {
  const Lanes d;
  const Exp2 exp2;
  const int64_t N = s.states, group = group_of(s, tile.channel);
  constexpr int64_t kWidth = V * kLanes;
  float* HWY_RESTRICT x = keep.x;
  const float* HWY_RESTRICT A = keep.A;
  const bool B_varies = s.B_stride != 0, C_varies = s.C_stride != 0;

  if (out.borders) {
    float* border = out.borders + begin / selective_scan_chunk(N) * N * s.channels + tile.channel;
    for (int64_t n = 0; n < N; ++n) {
      for (int v = 0; v < V; ++v) {
        store(hn::Load(d, x + n * kWidth + v * kLanes), border + n * s.channels + v * kLanes, tile.of(v));
      }
    }
  }
  Vec bias[V], skip[V];
  HWY_DEFAULT_UNROLL
  for (int v = 0; v < V; ++v) {
    bias[v] = s.delta_bias ? load(s.delta_bias + tile.channel + v * kLanes, tile.of(v)) : hn::Zero(d);
    skip[v] = s.D ? load(s.D + tile.channel + v * kLanes, tile.of(v)) : hn::Zero(d);
  }

  for (int64_t t = begin; t < end; ++t) {
    const int64_t p = token(s, t), later = token(s, std::min(t + kAhead, s.length - 1));
    prefetch_row<V>(s.u, s.u_stride, later, tile);
    prefetch_row<V>(s.delta, s.delta_stride, later, tile);
    prefetch_row<V>(out.y, out.y_stride, later, tile);
    const float* B = state_row(s.B, s.B_stride, s, p, group);
    const float* C = state_row(s.C, s.C_stride, s, p, group);
    Vec dt[V], dt_u[V], y[V];
    HWY_DEFAULT_UNROLL
    for (int v = 0; v < V; ++v) {
      const int64_t c = tile.channel + v * kLanes;
      const Vec u = load(s.u + p * s.u_stride + c, tile.of(v));
      dt[v] = hn::Add(load(s.delta + p * s.delta_stride + c, tile.of(v)), bias[v]);
      Vec slope;
      if (s.delta_softplus) dt[v] = softplus(dt[v], slope);
      dt_u[v] = hn::Mul(dt[v], u);
      dt[v] = bounded(dt[v]);
      y[v] = hn::Mul(skip[v], u);
    }
    for (int64_t n = 0; n < N; ++n) {
      const Vec b_n = kConstant && !B_varies ? hn::Zero(d) : hn::Set(d, B[n]);
      const Vec c_n = kConstant && !C_varies ? hn::Zero(d) : hn::Set(d, C[n]);
      HWY_DEFAULT_UNROLL
      for (int v = 0; v < V; ++v) {
        const int64_t at = n * kWidth + v * kLanes;
        const Vec b = kConstant && !B_varies ? hn::Load(d, keep.B + at) : b_n;
        const Vec c = kConstant && !C_varies ? hn::Load(d, keep.C + at) : c_n;
        const Vec next =
            hn::MulAdd(exp2(dt[v], hn::Load(d, A + at)), hn::Load(d, x + at), hn::Mul(dt_u[v], b));
        hn::Store(next, d, x + at);
        y[v] = hn::MulAdd(c, next, y[v]);
      }
    }
    HWY_DEFAULT_UNROLL
    for (int v = 0; v < V; ++v) {
      const int64_t c = tile.channel + v * kLanes;
      float* to = out.y + p * out.y_stride + c;
      if (out.accumulate) y[v] = hn::Add(load(to, tile.of(v)), y[v]);
      store(y[v], to, tile.of(v));
      if (out.z) {
        const Vec gate = silu(load(out.z + p * out.z_stride + c, tile.of(v)));
        store(hn::Mul(y[v], gate), out.gated + p * out.gated_stride + c, tile.of(v));
      }
    }
  }
}

void forward_all(const Scan& s, const Output& out, float* scratch) {
  const FlushSubnormals flush;
  const bool constant = s.B_stride == 0 || s.C_stride == 0;
  const int64_t N = s.states, chunk = selective_scan_chunk(N);
  // Wide tiles reuse B and C and read more of a row at once; with many states a narrow one stays in the L1
  // cache.
  const int64_t width = (constant ? 1 : HWY_TARGET <= HWY_AVX3 && N <= 16 ? 4 : 2) * kLanes;
  for_tiles(s, width, [&](const Tile& tile) HWY_ATTR {
    with_vectors(tile, [&](auto vectors) HWY_ATTR {
      constexpr int V = vectors();
      const ForwardStore keep(scratch, s, tile, V * kLanes);
      std::fill(keep.x, keep.x + N * V * kLanes, 0.0f);
      transpose<V>(s.A, s, tile, kLog2e, keep.A);
      if (s.B_stride == 0) transpose<V>(s.B, s, tile, 1.0f, keep.B);
      if (s.C_stride == 0) transpose<V>(s.C, s, tile, 1.0f, keep.C);
    });
  });
  // Chunk by chunk over all channels, so that the rows of a chunk and their pages stay at hand for all tiles.
  for (int64_t begin = 0; begin < s.length; begin += chunk) {
    const int64_t end = std::min(begin + chunk, s.length);
    for_tiles(s, width, [&](const Tile& tile) HWY_ATTR {
      with_vectors(tile, [&](auto vectors) HWY_ATTR {
        constexpr int V = vectors();
        const ForwardStore keep(scratch, s, tile, V * kLanes);
        if (V == 1 && constant) return forward_chunk<V, V == 1>(s, out, tile, begin, end, keep);
        forward_chunk<V, false>(s, out, tile, begin, end, keep);
      });
    });
  }
  if (!out.last_state) return;
  for_tiles(s, width, [&](const Tile& tile) HWY_ATTR {
    with_vectors(tile, [&](auto vectors) HWY_ATTR {
      const ForwardStore keep(scratch, s, tile, vectors() * kLanes);
      for (int64_t lane = 0; lane < tile.count; ++lane) {
        for (int64_t n = 0; n < N; ++n)
          out.last_state[(tile.channel + lane) * N + n] = keep.x[n * vectors() * kLanes + lane];
      }
    });
  });
}

/// What the backward pass keeps of a tile along the walk, [n][v][lane] or [v][lane], and of one chunk of any
/// tile.
struct BackwardStore {
  float *A, *B, *C;                 // A times log2 e; B and C only when they do not depend on the token
  float *grad_A, *grad_B, *grad_C;  // sums over the walk so far; of B and C only as above
  float* grad_x;                    // of the state before the step at hand
  float *grad_bias, *grad_skip;     // [v][lane]: sums
  // Of the chunk at hand:
  float *products_B, *products_C;  // [n of a block][lane]
  float *dt, *slope, *u, *grad_y;  // [t][v][lane]
  float *x, *decay;                // [t + 1][n][v][lane] and [t][n][v][lane]

  BackwardStore(float* scratch, const Scan& s, const Tile& tile, int64_t width, int64_t widest) {
    const int64_t N = s.states, chunk = selective_scan_chunk(N);
    const auto take = [&](int64_t size) {
      float* from = scratch;
      scratch += size;
      return from;
    };
    products_B = take(kLanes * kLanes);
    products_C = take(kLanes * kLanes);
    for (float** array : {&dt, &slope, &u, &grad_y}) *array = take(chunk * widest);
    x = take((chunk + 1) * N * widest);
    decay = take(chunk * N * widest);
    scratch += tile.place * (N * kBackwardArrays + 2);
    for (float** array : {&A, &grad_A, &grad_x}) *array = take(N * width);
    grad_bias = take(width);
    grad_skip = take(width);
    for (float** array : {&B, &C, &grad_B, &grad_C}) *array = take(N * width);
  }
};

/// Steps [begin, end) forwards from the border: fills the part of the chunk at hand.
template <int V, bool kConstant>
void replay_chunk(const Scan& s, const Gradients& g, const Tile& tile, int64_t begin, int64_t end,
                  const BackwardStore& keep) {
  const Lanes d;
  const Exp2 exp2;
  constexpr int64_t kWidth = V * kLanes;
  const int64_t N = s.states, chunk = selective_scan_chunk(N), group = group_of(s, tile.channel);
  const bool B_varies = s.B_stride != 0;
  const float* border = g.borders + begin / chunk * N * s.channels + tile.channel;
  for (int64_t n = 0; n < N; ++n) {
    for (int v = 0; v < V; ++v) {
      hn::Store(load(border + n * s.channels + v * kLanes, tile.of(v)), d, keep.x + n * kWidth + v * kLanes);
    }
  }
  Vec bias[V];
  HWY_DEFAULT_UNROLL
  for (int v = 0; v < V; ++v) {
    bias[v] = s.delta_bias ? load(s.delta_bias + tile.channel + v * kLanes, tile.of(v)) : hn::Zero(d);
  }
  for (int64_t t = begin; t < end; ++t) {
    const int64_t p = token(s, t), later = token(s, std::min(t + kAhead, s.length - 1)),
                  row = (t - begin) * kWidth;
    prefetch_row<V>(s.u, s.u_stride, later, tile);
    prefetch_row<V>(s.delta, s.delta_stride, later, tile);
    prefetch_row<V>(g.grad_out, g.grad_out_stride, later, tile);
    const float* B = state_row(s.B, s.B_stride, s, p, group);
    Vec dt[V], dt_u[V];
    HWY_DEFAULT_UNROLL
    for (int v = 0; v < V; ++v) {
      const int64_t c = tile.channel + v * kLanes, at = row + v * kLanes;
      const Vec u = load(s.u + p * s.u_stride + c, tile.of(v));
      dt[v] = hn::Add(load(s.delta + p * s.delta_stride + c, tile.of(v)), bias[v]);
      Vec slope = hn::Set(d, 1.0f);
      if (s.delta_softplus) dt[v] = softplus(dt[v], slope);
      dt_u[v] = hn::Mul(dt[v], u);
      Vec grad_y = load(g.grad_out + p * g.grad_out_stride + c, tile.of(v));
      if (g.z) grad_y = hn::Mul(grad_y, silu(load(g.z + p * g.z_stride + c, tile.of(v))));
      hn::Store(dt[v], d, keep.dt + at);
      hn::Store(slope, d, keep.slope + at);
      hn::Store(u, d, keep.u + at);
      hn::Store(grad_y, d, keep.grad_y + at);
      dt[v] = bounded(dt[v]);
    }
    const float* HWY_RESTRICT A = keep.A;
    const float* HWY_RESTRICT before = keep.x + (t - begin) * N * kWidth;
    float* HWY_RESTRICT after = keep.x + (t - begin + 1) * N * kWidth;
    float* HWY_RESTRICT decay = keep.decay + (t - begin) * N * kWidth;
    for (int64_t n = 0; n < N; ++n) {
      const Vec b_n = kConstant && !B_varies ? hn::Zero(d) : hn::Set(d, B[n]);
      HWY_DEFAULT_UNROLL
      for (int v = 0; v < V; ++v) {
        const int64_t at = n * kWidth + v * kLanes;
        const Vec b = kConstant && !B_varies ? hn::Load(d, keep.B + at) : b_n;
        const Vec a = exp2(dt[v], hn::Load(d, A + at));
        hn::Store(hn::MulAdd(a, hn::Load(d, before + at), hn::Mul(dt_u[v], b)), d, after + at);
        hn::Store(a, d, decay + at);
      }
    }
  }
}

/// Adds the first `count` sums over lanes of products[n][lane] to the `count` numbers at `to`.
HWY_INLINE void add_sums(const float* products, int64_t count, float* to) {
  store(hn::Add(load(to, count), sum_rows(products)), to, count);
}

/// Steps [begin, end) of one tile, from the last to the first.
template <int V, bool kConstant>
void backward_chunk(const Scan& s, const Gradients& g, const Tile& tile, int64_t begin, int64_t end,
                    const BackwardStore& keep) {
  const Lanes d;
  constexpr int64_t kWidth = V * kLanes;
  const int64_t N = s.states, group = group_of(s, tile.channel);
  const bool B_varies = s.B_stride != 0, C_varies = s.C_stride != 0;
  Vec skip[V], grad_bias[V], grad_skip[V];
  HWY_DEFAULT_UNROLL
  for (int v = 0; v < V; ++v) {
    skip[v] = s.D ? load(s.D + tile.channel + v * kLanes, tile.of(v)) : hn::Zero(d);
    grad_bias[v] = hn::Load(d, keep.grad_bias + v * kLanes);
    grad_skip[v] = hn::Load(d, keep.grad_skip + v * kLanes);
  }
  for (int64_t t = end - 1; t >= begin; --t) {
    const int64_t p = token(s, t), later = token(s, std::max(t - kAhead, int64_t{0})),
                  row = (t - begin) * kWidth;
    prefetch_row<V>(g.u, g.u_stride, later, tile);
    prefetch_row<V>(g.delta, g.delta_stride, later, tile);
    const float* B = state_row(s.B, s.B_stride, s, p, group);
    const float* C = state_row(s.C, s.C_stride, s, p, group);
    float* grad_B_row = B_varies ? g.B + p * g.B_stride + group * N : nullptr;
    float* grad_C_row = C_varies ? g.C + p * g.C_stride + group * N : nullptr;
    const float* HWY_RESTRICT A = keep.A;
    const float* HWY_RESTRICT before = keep.x + (t - begin) * N * kWidth;
    const float* HWY_RESTRICT after = before + N * kWidth;
    const float* HWY_RESTRICT decay = keep.decay + (t - begin) * N * kWidth;
    float* HWY_RESTRICT grad_x_sums = keep.grad_x;
    float* HWY_RESTRICT grad_A = keep.grad_A;
    float* HWY_RESTRICT products_B = keep.products_B;
    float* HWY_RESTRICT products_C = keep.products_C;
    Vec dt[V], dt_u[V], grad_y[V], sum_A[V], sum_B[V];
    HWY_DEFAULT_UNROLL
    for (int v = 0; v < V; ++v) {
      dt[v] = hn::Load(d, keep.dt + row + v * kLanes);
      dt_u[v] = hn::Mul(dt[v], hn::Load(d, keep.u + row + v * kLanes));
      grad_y[v] = hn::Load(d, keep.grad_y + row + v * kLanes);
      sum_A[v] = sum_B[v] = hn::Zero(d);
    }
    for (int64_t block = 0; block < N; block += kLanes) {
      const int64_t block_end = std::min(block + kLanes, N);
      for (int64_t n = block; n < block_end; ++n) {
        const Vec b_n = kConstant && !B_varies ? hn::Zero(d) : hn::Set(d, B[n]);
        const Vec c_n = kConstant && !C_varies ? hn::Zero(d) : hn::Set(d, C[n]);
        Vec product_B = hn::Zero(d), product_C = hn::Zero(d);
        HWY_DEFAULT_UNROLL
        for (int v = 0; v < V; ++v) {
          const int64_t at = n * kWidth + v * kLanes;
          const Vec b = kConstant && !B_varies ? hn::Load(d, keep.B + at) : b_n;
          const Vec c = kConstant && !C_varies ? hn::Load(d, keep.C + at) : c_n;
          const Vec grad_x = hn::MulAdd(grad_y[v], c, hn::Load(d, grad_x_sums + at));
          const Vec grad_before = hn::Mul(hn::Load(d, decay + at), grad_x);
          const Vec grad_exponent = hn::Mul(grad_before, hn::Load(d, before + at));  // of dt * A
          const Vec x = hn::Load(d, after + at);
          sum_A[v] = hn::MulAdd(grad_exponent, hn::Load(d, A + at), sum_A[v]);
          sum_B[v] = hn::MulAdd(grad_x, b, sum_B[v]);
          hn::Store(hn::MulAdd(dt[v], grad_exponent, hn::Load(d, grad_A + at)), d, grad_A + at);
          hn::Store(grad_before, d, grad_x_sums + at);
          if (kConstant && !B_varies) {
            hn::Store(hn::MulAdd(dt_u[v], grad_x, hn::Load(d, keep.grad_B + at)), d, keep.grad_B + at);
          } else {
            product_B = hn::MulAdd(dt_u[v], grad_x, product_B);
          }
          if (kConstant && !C_varies) {
            hn::Store(hn::MulAdd(grad_y[v], x, hn::Load(d, keep.grad_C + at)), d, keep.grad_C + at);
          } else {
            product_C = hn::MulAdd(grad_y[v], x, product_C);
          }
        }
        hn::Store(product_B, d, products_B + (n - block) * kLanes);
        hn::Store(product_C, d, products_C + (n - block) * kLanes);
      }
      if (B_varies) add_sums(products_B, block_end - block, grad_B_row + block);
      if (C_varies) add_sums(products_C, block_end - block, grad_C_row + block);
    }
    HWY_DEFAULT_UNROLL
    for (int v = 0; v < V; ++v) {
      const int64_t c = tile.channel + v * kLanes;
      const Vec u = hn::Load(d, keep.u + row + v * kLanes);
      // keep.A holds A log2(e), so the sum is of grad * A log2(e).
      const Vec grad_dt = hn::MulAdd(sum_A[v], hn::Set(d, 0.693147181f), hn::Mul(sum_B[v], u));
      const Vec grad_delta = hn::Mul(grad_dt, hn::Load(d, keep.slope + row + v * kLanes));
      store(grad_delta, g.delta + p * g.delta_stride + c, tile.of(v));
      grad_bias[v] = hn::Add(grad_bias[v], grad_delta);
      grad_skip[v] = hn::MulAdd(grad_y[v], u, grad_skip[v]);
      Vec grad_u = hn::MulAdd(sum_B[v], dt[v], hn::Mul(grad_y[v], skip[v]));
      float* to = g.u + p * g.u_stride + c;
      if (g.u_accumulate) grad_u = hn::Add(load(to, tile.of(v)), grad_u);
      store(grad_u, to, tile.of(v));
    }
  }
  HWY_DEFAULT_UNROLL
  for (int v = 0; v < V; ++v) {
    hn::Store(grad_bias[v], d, keep.grad_bias + v * kLanes);
    hn::Store(grad_skip[v], d, keep.grad_skip + v * kLanes);
  }
}

void backward_all(const Scan& s, const Gradients& g, float* scratch) {
  const FlushSubnormals flush;
  const bool constant = s.B_stride == 0 || s.C_stride == 0;
  const int64_t N = s.states, chunk = selective_scan_chunk(N);
  const int64_t widest = (constant ? 1 : backward_vectors(N)) * kLanes;
  for_tiles(s, widest, [&](const Tile& tile) HWY_ATTR {
    with_vectors(tile, [&](auto vectors) HWY_ATTR {
      constexpr int V = vectors();
      constexpr int64_t kWidth = V * kLanes;
      const BackwardStore keep(scratch, s, tile, kWidth, widest);
      transpose<V>(s.A, s, tile, kLog2e, keep.A);
      if (s.B_stride == 0) transpose<V>(s.B, s, tile, 1.0f, keep.B);
      if (s.C_stride == 0) transpose<V>(s.C, s, tile, 1.0f, keep.C);
      for (float* sums : {keep.grad_A, keep.grad_B, keep.grad_C, keep.grad_x})
        std::fill(sums, sums + N * kWidth, 0.0f);
      for (float* sums : {keep.grad_bias, keep.grad_skip}) std::fill(sums, sums + kWidth, 0.0f);
      for (float* products : {keep.products_B, keep.products_C})
        std::fill(products, products + kLanes * kLanes, 0.0f);
    });
  });
  for (int64_t begin = (s.length - 1) / chunk * chunk; begin >= 0; begin -= chunk) {
    const int64_t end = std::min(begin + chunk, s.length);
    for_tiles(s, widest, [&](const Tile& tile) HWY_ATTR {
      with_vectors(tile, [&](auto vectors) HWY_ATTR {
        constexpr int V = vectors();
        const BackwardStore keep(scratch, s, tile, V * kLanes, widest);
        if (V == 1 && constant) {
          replay_chunk<V, V == 1>(s, g, tile, begin, end, keep);
          return backward_chunk<V, V == 1>(s, g, tile, begin, end, keep);
        }
        replay_chunk<V, false>(s, g, tile, begin, end, keep);
        backward_chunk<V, false>(s, g, tile, begin, end, keep);
      });
    });
  }
  for_tiles(s, widest, [&](const Tile& tile) HWY_ATTR {
    with_vectors(tile, [&](auto vectors) HWY_ATTR {
      constexpr int V = vectors();
      const BackwardStore keep(scratch, s, tile, V * kLanes, widest);
      add_transposed<V>(keep.grad_A, s, tile, g.A);
      if (s.B_stride == 0) add_transposed<V>(keep.grad_B, s, tile, g.B);
      if (s.C_stride == 0) add_transposed<V>(keep.grad_C, s, tile, g.C);
      for (int64_t lane = 0; lane < tile.count; ++lane) {
        if (g.D) g.D[tile.channel + lane] += keep.grad_skip[lane];
        if (g.delta_bias) g.delta_bias[tile.channel + lane] += keep.grad_bias[lane];
      }
    });
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(forward_all);
HWY_EXPORT(backward_all);

namespace {
/// Where Highway's tables of functions have the one for `target`.
size_t table_index(SimdTarget target) {
  hwy::ChosenTarget chosen;
  chosen.Update(target.bit);
  return chosen.GetIndex();
}

/// Channels of a call, each group's part filled up to whole vectors.
int64_t padded(int64_t channels, int64_t groups) {
  return channels + std::min(channels, groups) * kMostLanes;
}
}  // namespace

int64_t selective_scan_forward_scratch(int64_t channels, int64_t groups, int64_t states) {
  return padded(channels, groups) * states * kForwardArrays;
}

int64_t selective_scan_backward_scratch(int64_t channels, int64_t groups, int64_t states) {
  const int64_t chunk = selective_scan_chunk(states), widest = backward_vectors(states) * kMostLanes;
  const int64_t of_chunk = ((2 * chunk + 1) * states + 4 * chunk) * widest + 2 * kMostLanes * kMostLanes;
  return of_chunk + padded(channels, groups) * (states * kBackwardArrays + 2);
}

void selective_scan_forward(const SelectiveScan<float>& scan, const SelectiveScanOutput<float>& output,
                            float* scratch, SimdTarget target) {
  HWY_DISPATCH_TABLE(forward_all)[table_index(target)](scan, output, scratch);
}

void selective_scan_backward(const SelectiveScan<float>& scan, const SelectiveScanGradients<float>& gradients,
                             float* scratch, SimdTarget target) {
  HWY_DISPATCH_TABLE(backward_all)[table_index(target)](scan, gradients, scratch);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
