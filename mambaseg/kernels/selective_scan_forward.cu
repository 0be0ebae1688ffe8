// The selective scan on the GPU, forward, all directions side by side. Three launches: the state that every
// chunk leaves when it starts from zero; the true states between the chunks, one after the other; the outputs
// of all chunks side by side. A fourth adds the directions in their order.

#include "mambaseg/kernels/selective_scan_device.cuh"

namespace mambaseg {
namespace {

template <class Input, class Shape>
__global__ void __launch_bounds__(Shape::threads)
    chunk_ends(SelectiveScanCuda<Input> s, float* ends, float* step_sums) {
  __shared__ Span<Shape> span;
  const ScanBlock w(s, Shape::channels);
  const ScanThread<Shape> me;
  float A[Shape::each], x[Shape::each] = {}, total = 0;
  load_A(s, w, me, A);
  for (int first = 0; first < w.steps; first += kSpan) {
    load_steps(s, w, first, true, span);
    load_states<Shape>(s, w, first, s.B, span.B);
    __syncthreads();
#pragma unroll
    for (int j = 0; j < kSpan; ++j) {
      advance(span, j, me, A, x);
      total += span.dt[j][me.channel];
    }
    __syncthreads();
  }
  store_border(s, w, me, x, ends);
  const int channel = w.first + me.channel;
  if (channel < w.end && me.lane == 0) step_sums[w.chunk * s.channels + channel] = total;
}

/// One thread a (direction, item, channel, state): ends become the states before every chunk.
template <class Input>
__global__ void join_chunks(SelectiveScanCuda<Input> s, float* borders, const float* step_sums,
                            float* last_state, int64_t last_state_batch_stride) {
  const int64_t index = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  const int64_t size = s.channels * s.states, at = index % size, walk = index / size;
  if (walk >= s.directions * s.batch) return;
  const int64_t item = walk % s.batch, direction = walk / s.batch, chunks = chunks_of(s.length);
  const float A = s.A[direction * size + at] * kLog2e;
  float* border = borders + walk * chunks * size + at;
  const float* sum = step_sums + walk * chunks * s.channels + at / s.states;
  float x = 0;
  for (int64_t first = 0; first < chunks; first += kAhead) {
    float ends[kAhead], decays[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (first + i >= chunks) break;
      ends[i] = border[(first + i) * size];
      decays[i] = power_of_two(A * sum[(first + i) * s.channels]);
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (first + i >= chunks) break;
      border[(first + i) * size] = x;
      x = decays[i] * x + ends[i];
    }
  }
  if (last_state) last_state[item * last_state_batch_stride + direction * size + at] = x;
}

/// y of the directions so far, and what the gate makes of it.
template <class Input>
__device__ void write_output(const SelectiveScanCudaOutput<Input>& out, int64_t item, int64_t p,
                             int64_t channel, float y) {
  const auto of_token = [&](const auto& rows) {
    return rows.data + item * rows.batch_stride + p * rows.token_stride + channel;
  };
  float* to = of_token(out.y);
  if (out.accumulate) y = *to + y;
  *to = y;
  if (!out.z.data) return;
  const float z = load(of_token(out.z));
  *of_token(out.gated) = y * z * sigmoid(z);
}

template <class Input, class Shape>
__global__ void __launch_bounds__(Shape::threads)
    chunk_outputs(SelectiveScanCuda<Input> s, SelectiveScanCudaOutput<Input> out) {
  __shared__ Span<Shape> span;
  __shared__ float sums[kSpan][Shape::channels];
  const ScanBlock w(s, Shape::channels);
  const ScanThread<Shape> me;
  float A[Shape::each], x[Shape::each];
  load_A(s, w, me, A);
  load_border(s, w, me, out.borders, x);
  for (int first = 0; first < w.steps; first += kSpan) {
    load_steps(s, w, first, true, span);
    load_states<Shape>(s, w, first, s.B, span.B);
    load_states<Shape>(s, w, first, s.C, span.C);
    __syncthreads();
    float y[kSpan];
#pragma unroll
    for (int j = 0; j < kSpan; ++j) {
      advance(span, j, me, A, x);
      y[j] = 0;
#pragma unroll
      for (int i = 0; i < Shape::each; ++i) y[j] += span.C[j][me.state(i)] * x[i];
    }
    sum_states(me, y, sums);
    __syncthreads();
    for_steps<Shape>([&](int j, int c) {
      const int channel = w.first + c;
      if (first + j >= w.steps || channel >= w.end) return;
      const int64_t p = token(s, w, first + j);
      const float skip = s.D ? s.D[w.direction * s.channels + channel] : 0;
      const float y_step = sums[j][c] + skip * span.u[j][c];
      if (out.parts) {
        out.parts[((w.direction * s.batch + w.item) * s.length + p) * s.channels + channel] = y_step;
      } else {
        write_output(out, w.item, p, channel, y_step);
      }
    });
  }
}

template <class Input>
__global__ void add_directions(SelectiveScanCuda<Input> s, SelectiveScanCudaOutput<Input> out) {
  add_parts(s, out.parts, [&](int64_t item, int64_t p, int64_t channel, float sum) {
    write_output(out, item, p, channel, sum);
  });
}

}  // namespace

bool cuda_kernels_built() { return true; }

template <class Input>
void selective_scan_forward_cuda(const SelectiveScanCuda<Input>& s, const SelectiveScanCudaOutput<Input>& out,
                                 void* stream) {
  with_shape(s.states, [&](auto shape) {
    using Shape = decltype(shape);
    const int64_t blocks = scan_blocks(s, Shape::channels);
    launch(chunk_ends<Input, Shape>, blocks, Shape::threads, stream, s, out.borders, out.step_sums);
    launch(join_chunks<Input>, blocks_for(s.directions * s.batch * s.states * s.channels), kPlainBlock,
           stream, s, out.borders, out.step_sums, out.last_state, out.last_state_batch_stride);
    launch(chunk_outputs<Input, Shape>, blocks, Shape::threads, stream, s, out);
  });
  if (out.parts)
    launch(add_directions<Input>, blocks_for(s.batch * s.length * s.channels), kPlainBlock, stream, s, out);
}

template void selective_scan_forward_cuda(const SelectiveScanCuda<float>&,
                                          const SelectiveScanCudaOutput<float>&, void*);
template void selective_scan_forward_cuda(const SelectiveScanCuda<Bfloat16>&,
                                          const SelectiveScanCudaOutput<Bfloat16>&, void*);

}  // namespace mambaseg
