// The fp32 selective scan, backward.

#include "mambaseg/kernels/selective_scan.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/selective_scan_backward_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "mambaseg/kernels/selective_scan_tiles-inl.h"
#include "mambaseg/kernels/simd_dispatch.h"

#ifndef MAMBASEG_SELECTIVE_SCAN_BACKWARD_SHARED
#define MAMBASEG_SELECTIVE_SCAN_BACKWARD_SHARED
namespace mambaseg {
namespace {
constexpr int64_t kBackwardArrays = 7;  // of (states, channels), see BackwardStore

/// Vectors of a tile: as many as keep a chunk's states and decays within 512 KiB.
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

template <class Input>
using Gradients = SelectiveScanGradients<float, Input>;

/// What the backward pass keeps of a tile along the walk, [n][v][lane] or [v][lane], and of one chunk of any
/// tile.
struct BackwardStore {
  float *A, *B, *C;                 // A times log2 e; B and C only when they do not depend on the token
  float *grad_A, *grad_B, *grad_C;  // sums over the walk so far; of B and C only as above
  float* grad_x;                    // of the state before the step at hand
  float *grad_bias, *grad_skip;     // [v][lane]: sums
  float* step_sum;                  // [v][lane]: of dt, when only the gradient of the state is followed
  // Of the chunk at hand:
  float *products_B, *products_C;  // [n of a block][lane]
  float *row_B, *row_C;            // of one token: [n]
  float *dt, *slope, *u, *grad_y;  // [t][v][lane]
  float *x, *decay;                // [t + 1][n][v][lane] and [t][n][v][lane]

  BackwardStore(float* scratch, int64_t N, const Tile& tile, int64_t width, int64_t widest) {
    const int64_t chunk = selective_scan_chunk(N);
    const auto take = [&](int64_t size) {
      float* from = scratch;
      scratch += size;
      return from;
    };
    products_B = take(kLanes * kLanes);
    products_C = take(kLanes * kLanes);
    row_B = take(round_up(N, kMostLanes));
    row_C = take(round_up(N, kMostLanes));
    for (float** array : {&dt, &slope, &u, &grad_y}) *array = take(chunk * widest);
    x = take((chunk + 1) * N * widest);
    decay = take(chunk * N * widest);
    scratch += tile.place * (N * kBackwardArrays + 3);
    for (float** array : {&A, &grad_A, &grad_x}) *array = take(N * width);
    grad_bias = take(width);
    grad_skip = take(width);
    step_sum = take(width);
    for (float** array : {&B, &C, &grad_B, &grad_C}) *array = take(N * width);
  }
};

/// Steps [begin, end) forwards from the border: fills the part of the chunk at hand.
template <int V, bool kConstant, class I>
void replay_chunk(const Scan<I>& s, const Gradients<I>& g, const Tile& tile, int64_t begin, int64_t end,
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
    const float* B = state_row(s.B, s.B_stride, s, p, group, keep.row_B);
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
template <int V, bool kConstant, class I>
void backward_chunk(const Scan<I>& s, const Gradients<I>& g, const Tile& tile, int64_t begin, int64_t end,
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
    const float* B = state_row(s.B, s.B_stride, s, p, group, keep.row_B);
    const float* C = state_row(s.C, s.C_stride, s, p, group, keep.row_C);
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

/// Steps [begin, end) of one tile, from the last to the first: the gradient of the state alone.
template <int V, bool kConstant, class I>
void backward_states(const Scan<I>& s, const Gradients<I>& g, const Tile& tile, int64_t begin, int64_t end,
                     const BackwardStore& keep) {
  const Lanes d;
  const Exp2 exp2;
  constexpr int64_t kWidth = V * kLanes;
  const int64_t N = s.states, group = group_of(s, tile.channel);
  const bool C_varies = s.C_stride != 0;
  float* HWY_RESTRICT grad_x_sums = keep.grad_x;
  for (int64_t t = end - 1; t >= begin; --t) {
    const int64_t p = token(s, t);
    const float* C = state_row(s.C, s.C_stride, s, p, group, keep.row_C);
    Vec dt[V], grad_y[V];
    HWY_DEFAULT_UNROLL
    for (int v = 0; v < V; ++v) {
      const int64_t c = tile.channel + v * kLanes;
      dt[v] = load(s.delta + p * s.delta_stride + c, tile.of(v));
      if (s.delta_bias) dt[v] = hn::Add(dt[v], load(s.delta_bias + c, tile.of(v)));
      Vec slope;
      if (s.delta_softplus) dt[v] = softplus(dt[v], slope);
      float* sum = keep.step_sum + v * kLanes;
      hn::Store(hn::Add(hn::Load(d, sum), dt[v]), d, sum);
      dt[v] = bounded(dt[v]);
      grad_y[v] = load(g.grad_out + p * g.grad_out_stride + c, tile.of(v));
      if (g.z) grad_y[v] = hn::Mul(grad_y[v], silu(load(g.z + p * g.z_stride + c, tile.of(v))));
    }
    for (int64_t n = 0; n < N; ++n) {
      const Vec c_n = kConstant && !C_varies ? hn::Zero(d) : hn::Set(d, C[n]);
      HWY_DEFAULT_UNROLL
      for (int v = 0; v < V; ++v) {
        const int64_t at = n * kWidth + v * kLanes;
        const Vec c = kConstant && !C_varies ? hn::Load(d, keep.C + at) : c_n;
        const Vec grad_x = hn::MulAdd(grad_y[v], c, hn::Load(d, grad_x_sums + at));
        hn::Store(hn::Mul(exp2(dt[v], hn::Load(d, keep.A + at)), grad_x), d, grad_x_sums + at);
      }
    }
  }
}

template <class I>
void backward(const Scan<I>& s, const Gradients<I>& g, float* scratch) {
  const FlushSubnormals flush;
  const bool constant = s.B_stride == 0 || s.C_stride == 0;
  const int64_t N = s.states, chunk = selective_scan_chunk(N);
  const int64_t widest = (constant ? 1 : backward_vectors(N)) * kLanes;
  for_tiles(s, widest, [&](const Tile& tile) HWY_ATTR {
    with_vectors(tile, [&](auto vectors) HWY_ATTR {
      constexpr int V = vectors();
      constexpr int64_t kWidth = V * kLanes;
      const BackwardStore keep(scratch, N, tile, kWidth, widest);
      transpose<V>(s.A, N, tile, kLog2e, keep.A);
      if (s.B_stride == 0) transpose<V>(s.B, N, tile, 1.0f, keep.B);
      if (s.C_stride == 0) transpose<V>(s.C, N, tile, 1.0f, keep.C);
      start_states<V>(g.last_state, N, tile, keep.grad_x);
      for (float* sums : {keep.grad_A, keep.grad_B, keep.grad_C}) std::fill(sums, sums + N * kWidth, 0.0f);
      for (float* sums : {keep.grad_bias, keep.grad_skip, keep.step_sum})
        std::fill(sums, sums + kWidth, 0.0f);
      for (float* products : {keep.products_B, keep.products_C})
        std::fill(products, products + kLanes * kLanes, 0.0f);
    });
  });
  const int64_t last = s.step_begin + (s.step_end - 1 - s.step_begin) / chunk * chunk;
  for (int64_t begin = last; begin >= s.step_begin; begin -= chunk) {
    const int64_t end = std::min(begin + chunk, s.step_end);
    for_tiles(s, widest, [&](const Tile& tile) HWY_ATTR {
      with_vectors(tile, [&](auto vectors) HWY_ATTR {
        constexpr int V = vectors();
        const BackwardStore keep(scratch, N, tile, V * kLanes, widest);
        if (V == 1 && constant) {
          if (!g.u) return backward_states<V, V == 1>(s, g, tile, begin, end, keep);
          replay_chunk<V, V == 1>(s, g, tile, begin, end, keep);
          return backward_chunk<V, V == 1>(s, g, tile, begin, end, keep);
        }
        if (!g.u) return backward_states<V, false>(s, g, tile, begin, end, keep);
        replay_chunk<V, false>(s, g, tile, begin, end, keep);
        backward_chunk<V, false>(s, g, tile, begin, end, keep);
      });
    });
  }
  for_tiles(s, widest, [&](const Tile& tile) HWY_ATTR {
    with_vectors(tile, [&](auto vectors) HWY_ATTR {
      constexpr int V = vectors();
      const BackwardStore keep(scratch, N, tile, V * kLanes, widest);
      if (g.first_state) copy_transposed<V>(keep.grad_x, N, tile, g.first_state);
      if (!g.u) {
        if (g.step_sums) std::copy(keep.step_sum, keep.step_sum + tile.count, g.step_sums + tile.channel);
        return;
      }
      add_transposed<V>(keep.grad_A, N, tile, g.A);
      if (s.B_stride == 0) add_transposed<V>(keep.grad_B, N, tile, g.B);
      if (s.C_stride == 0) add_transposed<V>(keep.grad_C, N, tile, g.C);
      for (int64_t lane = 0; lane < tile.count; ++lane) {
        if (g.D) g.D[tile.channel + lane] += keep.grad_skip[lane];
        if (g.delta_bias) g.delta_bias[tile.channel + lane] += keep.grad_bias[lane];
      }
    });
  });
}

void backward_fp32(const Scan<float>& s, const Gradients<float>& g, float* scratch) {
  backward(s, g, scratch);
}
void backward_bf16(const Scan<Bfloat16>& s, const Gradients<Bfloat16>& g, float* scratch) {
  backward(s, g, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(backward_fp32);
HWY_EXPORT(backward_bf16);

int64_t selective_scan_backward_scratch(int64_t channels, int64_t groups, int64_t states) {
  const int64_t chunk = selective_scan_chunk(states), widest = backward_vectors(states) * kMostLanes;
  const int64_t of_chunk = ((2 * chunk + 1) * states + 4 * chunk) * widest + 2 * kMostLanes * kMostLanes +
                           2 * round_up(states, kMostLanes);
  return of_chunk + padded_channels(channels, groups) * (states * kBackwardArrays + 3);
}

template <>
void selective_scan_backward(const SelectiveScan<float>& scan, const SelectiveScanGradients<float>& gradients,
                             float* scratch, SimdTarget target) {
  HWY_DISPATCH_TABLE(backward_fp32)[table_index(target)](scan, gradients, scratch);
}
template <>
void selective_scan_backward(const SelectiveScan<float, Bfloat16>& scan,
                             const SelectiveScanGradients<float, Bfloat16>& gradients, float* scratch,
                             SimdTarget target) {
  HWY_DISPATCH_TABLE(backward_bf16)[table_index(target)](scan, gradients, scratch);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
