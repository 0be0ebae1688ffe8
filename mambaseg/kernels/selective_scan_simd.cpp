// The fp32 selective scan. Channels lie across the lanes of a few vectors (a tile), the states of a tile stay
// in the caches, and the walk is followed step by step: no permuted copy of the tokens is made.

#include "mambaseg/kernels/selective_scan.h"

#include <algorithm>

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
constexpr int64_t kMostVectors = 4;

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

/// The channels that one pass over the walk works on: `vectors` vectors, the last with `count` channels in
/// use.
struct Tile {
  int64_t channel;
  int64_t count;  ///< channels of the tile

  /// Channels of vector v.
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

/// One tile along the whole walk. With kConstant, B or C (or both) do not depend on the token.
template <int V, bool kConstant>
void forward_tile(const Scan& s, const Output& out, const Tile& tile, float* HWY_RESTRICT scratch) {
  const Lanes d;
  const Exp2 exp2;
  const int64_t N = s.states, chunk = selective_scan_chunk(N), group = group_of(s, tile.channel);
  constexpr int64_t kWidth = V * kLanes;
  float* HWY_RESTRICT x = scratch;               // [n][v][lane]
  float* HWY_RESTRICT A = scratch + N * kWidth;  // [n][v][lane], times log2 e
  float* HWY_RESTRICT B_constant = scratch + 2 * N * kWidth;
  float* HWY_RESTRICT C_constant = scratch + 3 * N * kWidth;
  std::fill(x, x + N * kWidth, 0.0f);
  transpose<V>(s.A, s, tile, kLog2e, A);
  const bool B_varies = s.B_stride != 0, C_varies = s.C_stride != 0;
  if (kConstant && !B_varies) transpose<V>(s.B, s, tile, 1.0f, B_constant);
  if (kConstant && !C_varies) transpose<V>(s.C, s, tile, 1.0f, C_constant);

  Vec bias[V], skip[V];
  for (int v = 0; v < V; ++v) {
    bias[v] = s.delta_bias ? load(s.delta_bias + tile.channel + v * kLanes, tile.of(v)) : hn::Zero(d);
    skip[v] = s.D ? load(s.D + tile.channel + v * kLanes, tile.of(v)) : hn::Zero(d);
  }

  for (int64_t t = 0; t < s.length; ++t) {
    if (out.borders && t % chunk == 0) {
      float* border = out.borders + t / chunk * N * s.channels + tile.channel;
      for (int64_t n = 0; n < N; ++n) {
        for (int v = 0; v < V; ++v) {
          store(hn::Load(d, x + n * kWidth + v * kLanes), border + n * s.channels + v * kLanes, tile.of(v));
        }
      }
    }
    const int64_t p = token(s, t);
    const float* B = state_row(s.B, s.B_stride, s, p, group);
    const float* C = state_row(s.C, s.C_stride, s, p, group);
    Vec dt[V], dt_u[V], y[V];
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
      for (int v = 0; v < V; ++v) {
        const int64_t at = n * kWidth + v * kLanes;
        const Vec b = kConstant && !B_varies ? hn::Load(d, B_constant + at) : hn::Set(d, B[n]);
        const Vec c = kConstant && !C_varies ? hn::Load(d, C_constant + at) : hn::Set(d, C[n]);
        const Vec next =
            hn::MulAdd(exp2(dt[v], hn::Load(d, A + at)), hn::Load(d, x + at), hn::Mul(dt_u[v], b));
        hn::Store(next, d, x + at);
        y[v] = hn::MulAdd(c, next, y[v]);
      }
    }
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
  if (out.last_state) {
    for (int64_t lane = 0; lane < tile.count; ++lane) {
      for (int64_t n = 0; n < N; ++n) out.last_state[(tile.channel + lane) * N + n] = x[n * kWidth + lane];
    }
  }
}

/// Calls of(tile) for the channels of the call, tiles of `width` channels that do not cross groups (unless B
/// and C are per channel), the rest of a group in narrower ones: of(tile) gets at most `width` and decides by
/// tile.count.
template <class Function>
void for_tiles(const Scan& s, int64_t width, Function of) {
  const int64_t group_size = s.channels / s.groups;
  for (int64_t c = s.channel_begin; c < s.channel_end;) {
    const int64_t end = std::min(s.channel_end, (c / group_size + 1) * group_size);
    int64_t count = std::min(width, end - c);
    // Whole tiles have 4, 2 or 1 vectors; the channels that do not fill a vector come last.
    for (int64_t whole = width; whole >= kLanes; whole /= 2) {
      if (count >= whole) {
        count = whole;
        break;
      }
    }
    of(Tile{c, count});
    c += count;
  }
}

void forward_all(const Scan& s, const Output& out, float* scratch) {
  const FlushSubnormals flush;
  const bool constant = s.B_stride == 0 || s.C_stride == 0;
  // Wide tiles read whole cache lines and reuse B and C; with many states narrow ones stay in the first-level
  // cache.
  const int64_t vectors = constant ? 1 : HWY_TARGET <= HWY_AVX3 && s.states <= 16 ? 4 : 2;
  for_tiles(s, vectors * kLanes, [&](const Tile& tile) {
    if (constant) return forward_tile<1, true>(s, out, tile, scratch);
    if (tile.count == 4 * kLanes) return forward_tile<4, false>(s, out, tile, scratch);
    if (tile.count == 2 * kLanes) return forward_tile<2, false>(s, out, tile, scratch);
    return forward_tile<1, false>(s, out, tile, scratch);
  });
}

/// What the backward pass keeps of one chunk, in scratch.
template <int V>
struct ChunkStore {
  static constexpr int64_t kWidth = V * kLanes;
  float *A, *B, *C;                 // [n][v][lane]; A times log2 e, B and C only when constant
  float *grad_A, *grad_B, *grad_C;  // [n][v][lane], sums over the walk; of B and C only when constant
  float* grad_x;                    // [n][v][lane]: of the state before the step at hand
  float *products_B, *products_C;   // [n of a block][lane]
  float *dt, *slope, *u, *grad_y;   // [t][v][lane]
  float *x, *decay;                 // [t + 1][n][v][lane] and [t][n][v][lane]

  ChunkStore(float* scratch, int64_t N, int64_t chunk) {
    const auto take = [&](int64_t size) {
      float* from = scratch;
      scratch += size;
      return from;
    };
    for (float** array : {&A, &B, &C, &grad_A, &grad_B, &grad_C, &grad_x}) *array = take(N * kWidth);
    products_B = take(kLanes * kLanes);
    products_C = take(kLanes * kLanes);
    for (float** array : {&dt, &slope, &u, &grad_y}) *array = take(chunk * kWidth);
    x = take((chunk + 1) * N * kWidth);
    decay = take(chunk * N * kWidth);
  }
};

/// Steps [begin, end) forwards from the border: fills the store.
template <int V, bool kConstant>
void replay_chunk(const Scan& s, const Gradients& g, const Tile& tile, int64_t begin, int64_t end,
                  const Vec* bias, const ChunkStore<V>& keep) {
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
  for (int64_t t = begin; t < end; ++t) {
    const int64_t p = token(s, t), row = (t - begin) * kWidth;
    const float* B = state_row(s.B, s.B_stride, s, p, group);
    Vec dt[V], dt_u[V];
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
    const float* HWY_RESTRICT before = keep.x + (t - begin) * N * kWidth;
    float* HWY_RESTRICT after = keep.x + (t - begin + 1) * N * kWidth;
    float* HWY_RESTRICT decay = keep.decay + (t - begin) * N * kWidth;
    for (int64_t n = 0; n < N; ++n) {
      for (int v = 0; v < V; ++v) {
        const int64_t at = n * kWidth + v * kLanes;
        const Vec b = kConstant && !B_varies ? hn::Load(d, keep.B + at) : hn::Set(d, B[n]);
        const Vec a = exp2(dt[v], hn::Load(d, keep.A + at));
        hn::Store(a, d, decay + at);
        hn::Store(hn::MulAdd(a, hn::Load(d, before + at), hn::Mul(dt_u[v], b)), d, after + at);
      }
    }
  }
}

/// Adds the first `count` sums over lanes of products[n][lane] to the `count` numbers at `to`.
HWY_INLINE void add_sums(const float* products, int64_t count, float* to) {
  store(hn::Add(load(to, count), sum_rows(products)), to, count);
}

/// One tile backwards along the walk.
template <int V, bool kConstant>
void backward_tile(const Scan& s, const Gradients& g, const Tile& tile, float* scratch) {
  const Lanes d;
  constexpr int64_t kWidth = V * kLanes;
  const int64_t N = s.states, chunk = selective_scan_chunk(N), group = group_of(s, tile.channel);
  const ChunkStore<V> keep(scratch, N, chunk);
  const bool B_varies = s.B_stride != 0, C_varies = s.C_stride != 0;
  transpose<V>(s.A, s, tile, kLog2e, keep.A);
  if (kConstant && !B_varies) transpose<V>(s.B, s, tile, 1.0f, keep.B);
  if (kConstant && !C_varies) transpose<V>(s.C, s, tile, 1.0f, keep.C);
  for (float* sums : {keep.grad_A, keep.grad_B, keep.grad_C, keep.grad_x})
    std::fill(sums, sums + N * kWidth, 0.0f);
  std::fill(keep.products_B, keep.products_B + kLanes * kLanes, 0.0f);
  std::fill(keep.products_C, keep.products_C + kLanes * kLanes, 0.0f);

  Vec bias[V], skip[V], grad_bias[V], grad_skip[V];
  for (int v = 0; v < V; ++v) {
    bias[v] = s.delta_bias ? load(s.delta_bias + tile.channel + v * kLanes, tile.of(v)) : hn::Zero(d);
    skip[v] = s.D ? load(s.D + tile.channel + v * kLanes, tile.of(v)) : hn::Zero(d);
    grad_bias[v] = grad_skip[v] = hn::Zero(d);
  }

  for (int64_t begin = (s.length - 1) / chunk * chunk; begin >= 0; begin -= chunk) {
    const int64_t end = std::min(begin + chunk, s.length);
    replay_chunk<V, kConstant>(s, g, tile, begin, end, bias, keep);
    for (int64_t t = end - 1; t >= begin; --t) {
      const int64_t p = token(s, t), row = (t - begin) * kWidth;
      const float* B = state_row(s.B, s.B_stride, s, p, group);
      const float* C = state_row(s.C, s.C_stride, s, p, group);
      float* grad_B_row = B_varies ? g.B + p * g.B_stride + group * N : nullptr;
      float* grad_C_row = C_varies ? g.C + p * g.C_stride + group * N : nullptr;
      const float* HWY_RESTRICT before = keep.x + (t - begin) * N * kWidth;
      const float* HWY_RESTRICT after = keep.x + (t - begin + 1) * N * kWidth;
      const float* HWY_RESTRICT decay = keep.decay + (t - begin) * N * kWidth;
      Vec dt[V], dt_u[V], grad_y[V], sum_A[V], sum_B[V];
      for (int v = 0; v < V; ++v) {
        dt[v] = hn::Load(d, keep.dt + row + v * kLanes);
        dt_u[v] = hn::Mul(dt[v], hn::Load(d, keep.u + row + v * kLanes));
        grad_y[v] = hn::Load(d, keep.grad_y + row + v * kLanes);
        sum_A[v] = sum_B[v] = hn::Zero(d);
      }
      for (int64_t block = 0; block < N; block += kLanes) {
        const int64_t block_end = std::min(block + kLanes, N);
        for (int64_t n = block; n < block_end; ++n) {
          Vec product_B = hn::Zero(d), product_C = hn::Zero(d);
          for (int v = 0; v < V; ++v) {
            const int64_t at = n * kWidth + v * kLanes;
            const Vec b = kConstant && !B_varies ? hn::Load(d, keep.B + at) : hn::Set(d, B[n]);
            const Vec c = kConstant && !C_varies ? hn::Load(d, keep.C + at) : hn::Set(d, C[n]);
            const Vec grad_x = hn::MulAdd(grad_y[v], c, hn::Load(d, keep.grad_x + at));
            const Vec grad_before = hn::Mul(hn::Load(d, decay + at), grad_x);
            hn::Store(grad_before, d, keep.grad_x + at);
            const Vec grad_exponent = hn::Mul(grad_before, hn::Load(d, before + at));  // of dt * A
            hn::Store(hn::MulAdd(dt[v], grad_exponent, hn::Load(d, keep.grad_A + at)), d, keep.grad_A + at);
            sum_A[v] = hn::MulAdd(grad_exponent, hn::Load(d, keep.A + at), sum_A[v]);
            sum_B[v] = hn::MulAdd(grad_x, b, sum_B[v]);
            const Vec x = hn::Load(d, after + at);
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
          hn::Store(product_B, d, keep.products_B + (n - block) * kLanes);
          hn::Store(product_C, d, keep.products_C + (n - block) * kLanes);
        }
        if (B_varies) add_sums(keep.products_B, block_end - block, grad_B_row + block);
        if (C_varies) add_sums(keep.products_C, block_end - block, grad_C_row + block);
      }
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
  }

  add_transposed<V>(keep.grad_A, s, tile, g.A);
  if (kConstant && !B_varies) add_transposed<V>(keep.grad_B, s, tile, g.B);
  if (kConstant && !C_varies) add_transposed<V>(keep.grad_C, s, tile, g.C);
  for (int v = 0; v < V; ++v) {
    const auto add = [&](float* to, Vec sum) HWY_ATTR {
      if (to)
        store(hn::Add(load(to + tile.channel + v * kLanes, tile.of(v)), sum), to + tile.channel + v * kLanes,
              tile.of(v));
    };
    add(g.D, grad_skip[v]);
    add(g.delta_bias, grad_bias[v]);
  }
}

void backward_all(const Scan& s, const Gradients& g, float* scratch) {
  const FlushSubnormals flush;
  const bool constant = s.B_stride == 0 || s.C_stride == 0;
  const int64_t vectors = constant ? 1 : backward_vectors(s.states);
  for_tiles(s, vectors * kLanes, [&](const Tile& tile) {
    if (constant) return backward_tile<1, true>(s, g, tile, scratch);
    if (tile.count == 4 * kLanes) return backward_tile<4, false>(s, g, tile, scratch);
    if (tile.count == 2 * kLanes) return backward_tile<2, false>(s, g, tile, scratch);
    return backward_tile<1, false>(s, g, tile, scratch);
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
}  // namespace

int64_t selective_scan_forward_scratch(int64_t states) { return 4 * states * kMostVectors * kMostLanes; }

int64_t selective_scan_backward_scratch(int64_t states) {
  const int64_t chunk = selective_scan_chunk(states), width = backward_vectors(states) * kMostLanes;
  return ((9 + 2 * chunk) * states + 4 * chunk) * width + 2 * kMostLanes * kMostLanes;
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
