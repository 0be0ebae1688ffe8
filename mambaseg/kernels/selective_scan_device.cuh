// What the forward and backward pass of the selective scan on the GPU share.
//
// A chunk of one walk of one batch item is followed by a block of threads. The states of a channel lie on
// neighbouring threads, four on each, more only above 128 (ScanShape). The steps go by in spans: the block brings the
// operands of a span to shared memory, every thread follows its states through the span, sums over states are
// made for the span at once, and the block writes its results.
#pragma once

#include "mambaseg/kernels/cuda_launch.cuh"
#include "mambaseg/kernels/selective_scan_cuda.h"

namespace mambaseg {

constexpr int kTileChannels = 64;  // of a group; sums over the channels of a tile are made by one block
constexpr int kSpan = 8;           // steps; the square root of the chunk
constexpr int kChunk = kCudaScanChunk, kSpans = kChunk / kSpan;
constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xFFFFFFFF;
constexpr int kAhead = 8;         // chunks whose borders are read before the first is needed
constexpr int kPlainBlock = 256;  // threads where a thread works by itself
constexpr float kLog2e = 1.44269504f;
static_assert(kSpan * kSpans == kChunk);

/// How the states lie on the threads of a block: `lanes` neighbours have those of a channel, `each` in a row.
template <int Lanes, int Each>
struct ScanShape {
  static constexpr int lanes = Lanes, each = Each, states = Lanes * Each;
  // 256 unless a tile has fewer; many states want shared memory.
  static constexpr int threads = Lanes >= 4 ? (states > 64 ? 16384 / states : 256) : kTileChannels * Lanes;
  /// Blocks of a multiprocessor that runs so many threads at once: what the compiler bounds registers for.
  static constexpr int blocks(int resident) { return Each > 4 ? 1 : resident / threads; }
  static constexpr int warps = threads / kWarp;
  static constexpr int channels = threads / Lanes;  ///< that a block follows at once
};

/// Calls of(shape) with the shape for so many states.
template <class Function>
void with_shape(int64_t states, Function of) {
  if (states == 1) return of(ScanShape<1, 1>());
  if (states <= 4) return of(ScanShape<1, 4>());
  if (states <= 8) return of(ScanShape<2, 4>());
  if (states <= 16) return of(ScanShape<4, 4>());
  if (states <= 32) return of(ScanShape<8, 4>());
  if (states <= 64) return of(ScanShape<16, 4>());
  if (states <= 128) return of(ScanShape<32, 4>());
  of(ScanShape<32, 8>());
}

/// Parts of `width` channels of one group: a part lies within a group, whose B and C its channels share.
__host__ __device__ inline int64_t parts_of_group(int64_t channels, int64_t groups, int width) {
  return (channels / groups + width - 1) / width;
}
__host__ __device__ inline int64_t chunks_of(int64_t length) {
  return (length + kCudaScanChunk - 1) / kCudaScanChunk;
}

/// Blocks that follow `width` channels each.
template <class Scan>
int64_t scan_blocks(const Scan& s, int width) {
  return s.directions * s.batch * chunks_of(s.length) * s.groups *
         parts_of_group(s.channels, s.groups, width);
}

/// What a block works on. Numbers of 32 bits, as those of a walk are: every thread keeps them in registers.
struct ScanBlock {
  int direction, item, group;
  int tile;   ///< part of the group
  int chunk;  ///< place of (direction, item, chunk) in arrays (directions, batch, chunks, ...)
  int begin;  ///< first step
  int steps;
  int first, end;  ///< channels, from that of the tile to that of the group

  template <class Scan>
  __device__ ScanBlock(const Scan& s, int width) {
    const auto number = [](int64_t of) { return static_cast<int>(of); };
    const int tiles = number(parts_of_group(s.channels, s.groups, width)),
              chunks = number(chunks_of(s.length));
    const int block = static_cast<int>(blockIdx.x), groups = number(s.groups),
              group_size = number(s.channels) / groups;
    tile = block % tiles;
    group = block / tiles % groups;
    chunk = block / tiles / groups;
    begin = chunk % chunks * kChunk;
    item = chunk / chunks % number(s.batch);
    direction = chunk / chunks / number(s.batch);
    const int left = number(s.length) - begin;
    steps = left < kChunk ? left : kChunk;
    first = group * group_size + tile * width;
    end = (group + 1) * group_size;
  }
};

template <class Scan>
__device__ int64_t token(const Scan& s, const ScanBlock& w, int step) {
  const ScanWalk& walk = s.walks[w.direction];
  const int64_t t = w.begin + step, at = walk.backwards ? s.length - 1 - t : t;
  return walk.order ? walk.order[at] : at;
}

template <class T>
__device__ T* row(const TokenRows<T>& rows, const ScanBlock& w, int64_t p) {
  return rows.data + w.item * rows.batch_stride + w.direction * rows.direction_stride + p * rows.token_stride;
}

__device__ inline float sigmoid(float v) { return 1 / (1 + expf(-v)); }

/// 2^v; 0 below 2^-126. (exp2f is the same instruction with four more around it for what lies below.)
__device__ inline float power_of_two(float v) {
#ifdef __CUDACC__
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(v));
  return result;
#else  // the tests compile the kernels for the CPU
  return v < -126 ? 0 : exp2f(v);
#endif
}

template <class Scan>
__device__ float step_size(const Scan& s, const ScanBlock& w, int64_t p, int channel) {
  const float bias = s.delta_bias ? s.delta_bias[w.direction * s.channels + channel] : 0;
  const float v = load(row(s.delta, w, p) + channel) + bias;
  return s.delta_softplus && v <= 20 ? log1pf(expf(v)) : v;
}

/// Operands of a span, in shared memory: those of steps behind the end and of channels and states that do not
/// exist are zeros, with which a state stays what it is and adds nothing.
template <class Shape>
struct Span {
  float dt[kSpan][Shape::channels], u[kSpan][Shape::channels];
  float B[kSpan][Shape::states], C[kSpan][Shape::states];
};

/// of(number) for the numbers below Count, shared by the threads of a block: a thread always has the same
/// ones.
template <class Shape, int Count, class Function>
__device__ void for_numbers(Function of) {
#pragma unroll 1  // more at once would take registers of the states
  for (int first = 0; first < Count; first += Shape::threads) {
    const int number = first + static_cast<int>(threadIdx.x);
    if (Count % Shape::threads == 0 || number < Count) of(number);
  }
}

/// of(step of the span, channel of the block); a thread has steps of one channel.
template <class Shape, class Function>
__device__ void for_steps(Function of) {
  for_numbers<Shape, kSpan * Shape::channels>(
      [&](int number) { of(number / Shape::channels, number % Shape::channels); });
}

/// dt, and u where asked, of the span from step `first` on.
template <class Shape, class Scan>
__device__ void load_steps(const Scan& s, const ScanBlock& w, int first, bool with_u, Span<Shape>& span) {
  for_steps<Shape>([&](int j, int c) {
    const int channel = w.first + c;
    float dt = 0, u = 0;
    if (first + j < w.steps && channel < w.end) {
      const int64_t p = token(s, w, first + j);
      dt = step_size(s, w, p, channel);
      if (with_u) u = load(row(s.u, w, p) + channel);
    }
    span.dt[j][c] = dt;
    span.u[j][c] = u;
  });
}

/// Rows of B or C of the span from step `first` on.
template <class Shape, class Scan, class Input>
__device__ void load_states(const Scan& s, const ScanBlock& w, int first, const TokenRows<const Input>& rows,
                            float (&to)[kSpan][Shape::states]) {
  for_numbers<Shape, kSpan * Shape::states>([&](int number) {
    const int j = number / Shape::states, n = number % Shape::states;
    const bool there = first + j < w.steps && n < s.states;
    to[j][n] = there ? load(row(rows, w, token(s, w, first + j)) + w.group * s.states + n) : 0;
  });
}

/// The states of a thread.
template <class Shape>
struct ScanThread {
  int channel, lane;  ///< of the block; of the channel
  __device__ ScanThread()
      : channel(static_cast<int>(threadIdx.x) / Shape::lanes),
        lane(static_cast<int>(threadIdx.x) % Shape::lanes) {}
  /// State i as it lies in a row of B or C.
  __device__ int state(int i) const { return lane * Shape::each + i; }
};

/// of(i, place in part `part` of an array (parts, channels, states)) for the states of the thread that exist.
template <class Shape, class Scan, class Function>
__device__ void for_states(const Scan& s, const ScanBlock& w, const ScanThread<Shape>& me, int64_t part,
                           Function of) {
  const int channel = w.first + me.channel;
#pragma unroll
  for (int i = 0; i < Shape::each; ++i) {
    if (channel < w.end && me.state(i) < s.states)
      of(i, (part * s.channels + channel) * s.states + me.state(i));
  }
}

/// A log2(e) of the thread's states, 0 for states that do not exist.
template <class Shape, class Scan>
__device__ void load_A(const Scan& s, const ScanBlock& w, const ScanThread<Shape>& me,
                       float (&A)[Shape::each]) {
  for (float& a : A) a = 0;
  for_states<Shape>(s, w, me, w.direction, [&](int i, int64_t at) { A[i] = s.A[at] * kLog2e; });
}
/// The thread's states from (directions, batch, chunks, channels, states), or back.
template <class Shape, class Scan>
__device__ void load_border(const Scan& s, const ScanBlock& w, const ScanThread<Shape>& me, const float* from,
                            float (&x)[Shape::each]) {
  for (float& state : x) state = 0;
  for_states<Shape>(s, w, me, w.chunk, [&](int i, int64_t at) { x[i] = from[at]; });
}
template <class Shape, class Scan>
__device__ void store_border(const Scan& s, const ScanBlock& w, const ScanThread<Shape>& me,
                             const float (&x)[Shape::each], float* to) {
  for_states<Shape>(s, w, me, w.chunk, [&](int i, int64_t at) { to[at] = x[i]; });
}

/// Step j of a span.
template <class Shape>
__device__ void advance(const Span<Shape>& span, int j, const ScanThread<Shape>& me,
                        const float (&A)[Shape::each], float (&x)[Shape::each]) {
  const float dt = span.dt[j][me.channel], dt_u = dt * span.u[j][me.channel];
#pragma unroll
  for (int i = 0; i < Shape::each; ++i) x[i] = power_of_two(dt * A[i]) * x[i] + dt_u * span.B[j][me.state(i)];
}

/// Which sums a thread has got.
struct Spread {
  int first;    ///< in v[0]; the next in v[1], ...
  bool writes;  ///< false: so has a neighbour
};

/// v[0], v[1], ... summed over the threads of a warp whose numbers differ in the bits from High down to Low.
/// Each exchange halves what a thread goes on with, so that afterwards spread_count sums lie on every thread.
template <int High, int Low, int Count>
__device__ Spread spread_sums(float (&v)[Count]) {
  Spread spread{0, true};
  int held = Count;
#pragma unroll
  for (int bit = High; bit >= Low; bit /= 2) {
    const bool upper = (threadIdx.x & static_cast<unsigned>(bit)) != 0;
    if (held > 1) {
      held /= 2;
#pragma unroll
      for (int i = 0; i < Count / 2; ++i) {
        if (i >= held) continue;
        const float kept = upper ? v[i + held] : v[i], given = upper ? v[i] : v[i + held];
        v[i] = kept + __shfl_xor_sync(kAllLanes, given, bit);
      }
      spread.first += upper ? held : 0;
    } else {
      v[0] += __shfl_xor_sync(kAllLanes, v[0], bit);
      spread.writes = spread.writes && !upper;
    }
  }
  return spread;
}
constexpr int spread_count(int count, int threads) { return count > threads ? count / threads : 1; }

/// Sums over the states of a channel, for neighbouring steps, to their rows in shared memory.
template <class Shape, int Steps>
__device__ void sum_states(const ScanThread<Shape>& me, float (&v)[Steps], float (*to)[Shape::channels]) {
  const Spread spread = spread_sums<Shape::lanes / 2, 1>(v);
#pragma unroll
  for (int i = 0; i < spread_count(Steps, Shape::lanes); ++i)
    if (spread.writes) to[spread.first + i][me.channel] = v[i];
}

/// The sum over the directions of parts (directions, batch, length, channels), one after the other, is given
/// to of(item, token, channel, sum).
template <class Scan, class Function>
__device__ void add_parts(const Scan& s, const float* parts, Function of) {
  const int64_t index = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  const int64_t size = s.batch * s.length * s.channels;
  if (index >= size) return;
  float sum = parts[index];
  for (int64_t k = 1; k < s.directions; ++k) sum += parts[k * size + index];
  of(index / s.channels / s.length, index / s.channels % s.length, index % s.channels, sum);
}

inline int64_t blocks_for(int64_t threads) { return (threads + kPlainBlock - 1) / kPlainBlock; }

}  // namespace mambaseg
