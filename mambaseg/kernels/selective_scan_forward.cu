// The selective scan on the GPU, forward. Three launches: the state that every chunk leaves when it starts
// from zero; the true states between the chunks, one after the other; the outputs of all chunks side by side.

#include "mambaseg/kernels/selective_scan_device.cuh"

namespace mambaseg {
namespace {

template <class Input, int P>
__global__ void chunk_ends(SelectiveScanCuda<Input> s, float* ends, float* step_sums) {
  const ScanThread w(s);
  const float bias = bias_of(s, w);
  float A[P], B[P], x[P] = {}, total = 0;
  load_A(s, w, A);
  for (int64_t t = w.begin; t < w.end; ++t) {
    const int64_t p = token(s, t);
    const float dt = StepSize(s, w, p, bias).dt, dt_u = dt * load(row(s.u, w.item, p) + w.channel);
    load_states(s, w, s.B, p, B);
    for (int i = 0; i < P; ++i) x[i] = power_of_two(dt * A[i]) * x[i] + dt_u * B[i];
    total += dt;
  }
  store_border(s, w, x, ends);
  if (w.active && w.lane == 0) step_sums[w.sum(s.channels)] = total;
}

/// One thread a (item, channel, state): ends become the states before every chunk.
template <class Input>
__global__ void join_chunks(SelectiveScanCuda<Input> s, float* borders, const float* step_sums,
                            float* last_state, int64_t last_state_batch_stride) {
  const int64_t index = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (index >= s.batch * s.states * s.channels) return;
  const int64_t c = index % s.channels, n = index / s.channels % s.states,
                item = index / s.channels / s.states;
  const int64_t chunks = (s.length + kCudaScanChunk - 1) / kCudaScanChunk;
  const float A = s.A[c * s.states + n] * kLog2e;
  float* border = borders + (item * chunks * s.states + n) * s.channels + c;
  const float* sum = step_sums + item * chunks * s.channels + c;
  const int64_t to_next = s.states * s.channels;
  float x = 0;
  for (int64_t first = 0; first < chunks; first += kAhead) {
    float ends[kAhead], decays[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (first + i >= chunks) break;
      ends[i] = border[(first + i) * to_next];
      decays[i] = power_of_two(A * sum[(first + i) * s.channels]);
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (first + i >= chunks) break;
      border[(first + i) * to_next] = x;
      x = decays[i] * x + ends[i];
    }
  }
  if (last_state) last_state[item * last_state_batch_stride + c * s.states + n] = x;
}

template <class Input, int P>
__global__ void chunk_outputs(SelectiveScanCuda<Input> s, SelectiveScanCudaOutput<Input> out) {
  const ScanThread w(s);
  const float bias = bias_of(s, w), skip = s.D ? s.D[w.channel] : 0;
  float A[P], B[P], C[P], x[P];
  load_A(s, w, A);
  load_border(s, w, out.borders, x);
  for (int64_t t = w.begin; t < w.end; ++t) {
    const int64_t p = token(s, t);
    const float u = load(row(s.u, w.item, p) + w.channel), dt = StepSize(s, w, p, bias).dt;
    load_states(s, w, s.B, p, B);
    load_states(s, w, s.C, p, C);
    float y = 0;
    for (int i = 0; i < P; ++i) {
      x[i] = power_of_two(dt * A[i]) * x[i] + dt * u * B[i];
      y += C[i] * x[i];
    }
    y = sum_of_states(y) + skip * u;
    if (!w.active || w.lane != 0) continue;
    float& sum = row(out.y, w.item, p)[w.channel];
    if (out.accumulate) y += sum;
    sum = y;
    if (out.z.data) {
      const float z = load(row(out.z, w.item, p) + w.channel);
      row(out.gated, w.item, p)[w.channel] = y * z * sigmoid(z);
    }
  }
}

}  // namespace

bool cuda_kernels_built() { return true; }

template <class Input>
void selective_scan_forward_cuda(const SelectiveScanCuda<Input>& s, const SelectiveScanCudaOutput<Input>& out,
                                 void* stream) {
  const int64_t blocks = work_blocks(s.batch, s.length, s.channels, s.groups);
  const int64_t lines = s.batch * s.states * s.channels;
  with_states(s.states, [&](auto each) {
    launch(chunk_ends<Input, each()>, blocks, kBlock, stream, s, out.borders, out.step_sums);
    launch(join_chunks<Input>, (lines + kBlock - 1) / kBlock, kBlock, stream, s, out.borders, out.step_sums,
           out.last_state, out.last_state_batch_stride);
    launch(chunk_outputs<Input, each()>, blocks, kBlock, stream, s, out);
  });
}

template void selective_scan_forward_cuda(const SelectiveScanCuda<float>&,
                                          const SelectiveScanCudaOutput<float>&, void*);
template void selective_scan_forward_cuda(const SelectiveScanCuda<Bfloat16>&,
                                          const SelectiveScanCudaOutput<Bfloat16>&, void*);

}  // namespace mambaseg
