// The fp32 selective scan, forward.

#include "mambaseg/kernels/selective_scan.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/selective_scan_forward_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "mambaseg/kernels/selective_scan_tiles-inl.h"
#include "mambaseg/kernels/simd_dispatch.h"

#ifndef MAMBASEG_SELECTIVE_SCAN_FORWARD_SHARED
#define MAMBASEG_SELECTIVE_SCAN_FORWARD_SHARED
namespace mambaseg {
namespace {
constexpr int64_t kForwardArrays = 4;  // of (states, channels), see ForwardStore
}
}  // namespace mambaseg
#endif

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

template <class Input>
using Output = SelectiveScanOutput<float, Input>;

/// What the forward pass keeps of a tile along the walk: [n][v][lane] each.
struct ForwardStore {
  float *x, *A, *B, *C;  // A times log2 e; B and C only when they do not depend on the token
  float* step_sum;       // [v][lane]
  float *row_B, *row_C;  // of one token: [n]

  ForwardStore(float* scratch, int64_t states, const Tile& tile, int64_t width) {
    const auto take = [&](int64_t size) {
      float* from = scratch;
      scratch += size;
      return from;
    };
    row_B = take(round_up(states, kMostLanes));
    row_C = take(round_up(states, kMostLanes));
    scratch += tile.place * (states * kForwardArrays + 1);
    for (float** array : {&x, &A, &B, &C}) *array = take(states * width);
    step_sum = take(width);
  }
};

/// Steps [begin, end) of one tile. With kConstant, B or C (or both) do not depend on the token; with
/// kStatesOnly there is no y.
template <int V, bool kConstant, bool kStatesOnly, class I>
void forward_chunk(const Scan<I>& s, const Output<I>& out, const Tile& tile, int64_t begin, int64_t end,
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
  Vec bias[V], skip[V], step_sum[V];
  HWY_DEFAULT_UNROLL
  for (int v = 0; v < V; ++v) {
    step_sum[v] = hn::Load(d, keep.step_sum + v * kLanes);
    bias[v] = s.delta_bias ? load(s.delta_bias + tile.channel + v * kLanes, tile.of(v)) : hn::Zero(d);
    skip[v] = s.D ? load(s.D + tile.channel + v * kLanes, tile.of(v)) : hn::Zero(d);
  }

  for (int64_t t = begin; t < end; ++t) {
    const int64_t p = token(s, t), later = token(s, std::min(t + kAhead, s.length - 1));
    prefetch_row<V>(s.u, s.u_stride, later, tile);
    prefetch_row<V>(s.delta, s.delta_stride, later, tile);
    if (!kStatesOnly) prefetch_row<V>(out.y, out.y_stride, later, tile);
    const float* B = state_row(s.B, s.B_stride, s, p, group, keep.row_B);
    const float* C = kStatesOnly ? nullptr : state_row(s.C, s.C_stride, s, p, group, keep.row_C);
    Vec dt[V], dt_u[V], y[V];
    HWY_DEFAULT_UNROLL
    for (int v = 0; v < V; ++v) {
      const int64_t c = tile.channel + v * kLanes;
      const Vec u = load(s.u + p * s.u_stride + c, tile.of(v));
      dt[v] = hn::Add(load(s.delta + p * s.delta_stride + c, tile.of(v)), bias[v]);
      Vec slope;
      if (s.delta_softplus) dt[v] = softplus(dt[v], slope);
      dt_u[v] = hn::Mul(dt[v], u);
      step_sum[v] = hn::Add(step_sum[v], dt[v]);
      dt[v] = bounded(dt[v]);
      y[v] = hn::Mul(skip[v], u);
    }
    for (int64_t n = 0; n < N; ++n) {
      const Vec b_n = kConstant && !B_varies ? hn::Zero(d) : hn::Set(d, B[n]);
      const Vec c_n = kStatesOnly || (kConstant && !C_varies) ? hn::Zero(d) : hn::Set(d, C[n]);
      HWY_DEFAULT_UNROLL
      for (int v = 0; v < V; ++v) {
        const int64_t at = n * kWidth + v * kLanes;
        const Vec b = kConstant && !B_varies ? hn::Load(d, keep.B + at) : b_n;
        const Vec c = kConstant && !C_varies ? hn::Load(d, keep.C + at) : c_n;
        const Vec next =
            hn::MulAdd(exp2(dt[v], hn::Load(d, A + at)), hn::Load(d, x + at), hn::Mul(dt_u[v], b));
        hn::Store(next, d, x + at);
        if (!kStatesOnly) y[v] = hn::MulAdd(c, next, y[v]);
      }
    }
    if (kStatesOnly) continue;
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
  HWY_DEFAULT_UNROLL
  for (int v = 0; v < V; ++v) hn::Store(step_sum[v], d, keep.step_sum + v * kLanes);
}

template <class I>
void forward(const Scan<I>& s, const Output<I>& out, float* scratch) {
  const FlushSubnormals flush;
  const bool constant = s.B_stride == 0 || s.C_stride == 0;
  const int64_t N = s.states, chunk = selective_scan_chunk(N);
  // Wide tiles reuse B and C and read more of a row at once; with many states a narrow one stays in the L1
  // cache.
  const int64_t width = (constant ? 1 : HWY_TARGET <= HWY_AVX3 && N <= 16 ? 4 : 2) * kLanes;
  for_tiles(s, width, [&](const Tile& tile) HWY_ATTR {
    with_vectors(tile, [&](auto vectors) HWY_ATTR {
      constexpr int V = vectors();
      const ForwardStore keep(scratch, N, tile, V * kLanes);
      start_states<V>(out.first_state, N, tile, keep.x);
      transpose<V>(s.A, N, tile, kLog2e, keep.A);
      if (s.B_stride == 0) transpose<V>(s.B, N, tile, 1.0f, keep.B);
      if (s.C_stride == 0) transpose<V>(s.C, N, tile, 1.0f, keep.C);
      std::fill(keep.step_sum, keep.step_sum + V * kLanes, 0.0f);
    });
  });
  // Chunk by chunk over all channels, so that the rows of a chunk and their pages stay at hand for all tiles.
  for (int64_t begin = s.step_begin; begin < s.step_end; begin += chunk) {
    const int64_t end = std::min(begin + chunk, s.step_end);
    for_tiles(s, width, [&](const Tile& tile) HWY_ATTR {
      with_vectors(tile, [&](auto vectors) HWY_ATTR {
        constexpr int V = vectors();
        const ForwardStore keep(scratch, N, tile, V * kLanes);
        if (V == 1 && constant) {
          if (!out.y) return forward_chunk<V, V == 1, true>(s, out, tile, begin, end, keep);
          return forward_chunk<V, V == 1, false>(s, out, tile, begin, end, keep);
        }
        if (!out.y) return forward_chunk<V, false, true>(s, out, tile, begin, end, keep);
        forward_chunk<V, false, false>(s, out, tile, begin, end, keep);
      });
    });
  }
  for_tiles(s, width, [&](const Tile& tile) HWY_ATTR {
    with_vectors(tile, [&](auto vectors) HWY_ATTR {
      const ForwardStore keep(scratch, N, tile, vectors() * kLanes);
      if (out.last_state) copy_transposed<vectors()>(keep.x, N, tile, out.last_state);
      if (out.step_sums) std::copy(keep.step_sum, keep.step_sum + tile.count, out.step_sums + tile.channel);
    });
  });
}

void forward_fp32(const Scan<float>& s, const Output<float>& out, float* scratch) {
  forward(s, out, scratch);
}
void forward_bf16(const Scan<Bfloat16>& s, const Output<Bfloat16>& out, float* scratch) {
  forward(s, out, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(forward_fp32);
HWY_EXPORT(forward_bf16);

int64_t selective_scan_forward_scratch(int64_t channels, int64_t groups, int64_t states) {
  return 2 * round_up(states, kMostLanes) + padded_channels(channels, groups) * (states * kForwardArrays + 1);
}

template <>
void selective_scan_forward(const SelectiveScan<float>& scan, const SelectiveScanOutput<float>& output,
                            float* scratch, SimdTarget target) {
  HWY_DISPATCH_TABLE(forward_fp32)[table_index(target)](scan, output, scratch);
}
template <>
void selective_scan_forward(const SelectiveScan<float, Bfloat16>& scan,
                            const SelectiveScanOutput<float, Bfloat16>& output, float* scratch,
                            SimdTarget target) {
  HWY_DISPATCH_TABLE(forward_bf16)[table_index(target)](scan, output, scratch);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
