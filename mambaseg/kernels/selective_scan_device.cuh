// What the forward and backward pass of the selective scan on the GPU share.
//
// A chunk of the walk of one batch item is followed by blocks of 64 channels, four threads a channel, each
// thread with every fourth state in registers. Neighbouring threads read neighbouring channels.
#pragma once

#include "mambaseg/kernels/cuda_launch.cuh"
#include "mambaseg/kernels/selective_scan_cuda.h"

namespace mambaseg {

constexpr int kStateLanes = 4;
constexpr int kTileChannels = 64;
constexpr int kBlock = kTileChannels * kStateLanes;
constexpr int kWarp = 32, kWarps = kBlock / kWarp;
constexpr unsigned kAllLanes = 0xFFFFFFFF;
constexpr int kAhead = 8;  // chunks whose borders are read before the first is needed
constexpr float kLog2e = 1.44269504f;

/// Tiles of one group: a tile lies within a group, whose B and C its channels share.
__host__ __device__ inline int64_t tiles_of_group(int64_t channels, int64_t groups) {
  return (channels / groups + kTileChannels - 1) / kTileChannels;
}

inline int64_t chunks_of(int64_t length) { return (length + kCudaScanChunk - 1) / kCudaScanChunk; }

/// What one thread works on.
struct ScanThread {
  int64_t item, chunk, chunks, group, tile;  ///< tile counts within the group
  int64_t channel;
  int64_t begin, end;  ///< steps
  int lane;            ///< its states are lane, lane + 4, ...
  bool active;         ///< false: no such channel; it takes part in the sums with zeros

  template <class Scan>
  __device__ explicit ScanThread(const Scan& s) {
    const int64_t tiles = tiles_of_group(s.channels, s.groups), group_size = s.channels / s.groups;
    int64_t block = blockIdx.x;
    tile = block % tiles;
    block /= tiles;
    group = block % s.groups;
    block /= s.groups;
    chunks = (s.length + kCudaScanChunk - 1) / kCudaScanChunk;
    chunk = block % chunks;
    item = block / chunks;
    lane = threadIdx.x % kStateLanes;
    const int64_t of_group = tile * kTileChannels + threadIdx.x / kStateLanes;
    active = of_group < group_size;
    channel = group * group_size + (active ? of_group : 0);
    begin = chunk * kCudaScanChunk;
    end = begin + kCudaScanChunk < s.length ? begin + kCudaScanChunk : s.length;
  }
  /// Place of (item, chunk, state 0, channel) in arrays like SelectiveScanCudaOutput::borders.
  __device__ int64_t border(int64_t states, int64_t channels) const {
    return (item * chunks + chunk) * states * channels + channel;
  }
  __device__ int64_t sum(int64_t channels) const { return (item * chunks + chunk) * channels + channel; }
};

inline int64_t work_blocks(int64_t batch, int64_t length, int64_t channels, int64_t groups) {
  return batch * chunks_of(length) * groups * tiles_of_group(channels, groups);
}

template <class Scan>
__device__ int64_t token(const Scan& s, int64_t t) {
  const int64_t step = s.backwards ? s.length - 1 - t : t;
  return s.order ? s.order[step] : step;
}

template <class T>
__device__ T* row(const TokenRows<T>& rows, int64_t item, int64_t p) {
  return rows.data + item * rows.batch_stride + p * rows.token_stride;
}

__device__ inline float sigmoid(float v) { return 1 / (1 + expf(-v)); }

/// 2^v; 0 below 2^-126. (exp2f is the same instruction with four more around it for what lies below.)
__device__ inline float power_of_two(float v) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(v));
  return result;
}

/// The step size of a token and channel, and its slope by delta.
struct StepSize {
  float dt, slope;
  template <class Scan>
  __device__ StepSize(const Scan& s, const ScanThread& w, int64_t p, float bias) {
    const float v = load(row(s.delta, w.item, p) + w.channel) + bias;
    const bool soft = s.delta_softplus && v <= 20;
    dt = !w.active ? 0 : soft ? log1pf(expf(v)) : v;
    slope = soft ? sigmoid(v) : 1;
  }
};

template <class Scan>
__device__ float bias_of(const Scan& s, const ScanThread& w) {
  return s.delta_bias ? s.delta_bias[w.channel] : 0;
}

/// A log2(e) of the thread's states, 0 for states that do not exist.
template <int P, class Scan>
__device__ void load_A(const Scan& s, const ScanThread& w, float (&A)[P]) {
  for (int i = 0; i < P; ++i) {
    const int64_t n = w.lane + i * kStateLanes;
    A[i] = w.active && n < s.states ? s.A[w.channel * s.states + n] * kLog2e : 0;
  }
}

/// The thread's states of a row of B or C, 0 for states that do not exist.
template <int P, class Scan, class Input>
__device__ void load_states(const Scan& s, const ScanThread& w, const TokenRows<const Input>& rows, int64_t p,
                            float (&to)[P]) {
  const Input* from = row(rows, w.item, p) + w.group * s.states;
  for (int i = 0; i < P; ++i) {
    const int64_t n = w.lane + i * kStateLanes;
    to[i] = n < s.states ? load(from + n) : 0;
  }
}

/// x of the thread's states from (batch, chunks, states, channels), or back.
template <int P, class Scan>
__device__ void load_border(const Scan& s, const ScanThread& w, const float* borders, float (&x)[P]) {
  const float* from = borders + w.border(s.states, s.channels);
  for (int i = 0; i < P; ++i) {
    const int64_t n = w.lane + i * kStateLanes;
    x[i] = w.active && n < s.states ? from[n * s.channels] : 0;
  }
}
template <int P, class Scan>
__device__ void store_border(const Scan& s, const ScanThread& w, const float (&x)[P], float* borders) {
  float* to = borders + w.border(s.states, s.channels);
  for (int i = 0; i < P; ++i) {
    const int64_t n = w.lane + i * kStateLanes;
    if (w.active && n < s.states) to[n * s.channels] = x[i];
  }
}

/// Sum over the four threads of a channel, in all of them.
__device__ inline float sum_of_states(float v) {
  v += __shfl_xor_sync(kAllLanes, v, 1);
  return v + __shfl_xor_sync(kAllLanes, v, 2);
}

/// Sum over the eight channels of a warp, state by state.
__device__ inline float sum_of_channels(float v) {
  v += __shfl_xor_sync(kAllLanes, v, 4);
  v += __shfl_xor_sync(kAllLanes, v, 8);
  return v + __shfl_xor_sync(kAllLanes, v, 16);
}

/// Calls of(constant<P>) with the states of a thread, rounded up to a power of two, as a constant.
template <class Function>
void with_states(int64_t states, Function of) {
  const int64_t each = (states + kStateLanes - 1) / kStateLanes;
  if (each <= 1) return of(std::integral_constant<int, 1>());
  if (each <= 2) return of(std::integral_constant<int, 2>());
  if (each <= 4) return of(std::integral_constant<int, 4>());
  if (each <= 8) return of(std::integral_constant<int, 8>());
  if (each <= 16) return of(std::integral_constant<int, 16>());
  if (each <= 32) return of(std::integral_constant<int, 32>());
  of(std::integral_constant<int, 64>());
}

}  // namespace mambaseg
