// The selective scan on the GPU, backward. As the forward pass, from the end of the walk: the gradient that
// every chunk passes on when it receives none; the true ones between the chunks; all gradients, chunks side
// by side, with the states recomputed from the chunk's border. Sums over channels and chunks are written as
// parts and added in a fixed order by launches of their own: no atomics.

#include "mambaseg/kernels/selective_scan_device.cuh"

namespace mambaseg {
namespace {

constexpr int kSpan = 8;  // steps whose states a thread keeps; the square root of the chunk
static_assert(kSpan * kSpan == kCudaScanChunk);

/// The arrays within SelectiveScanCudaGradients::scratch.
struct Parts {
  int64_t states_size, sums_size, tokens_size;
  float* incoming;  ///< (batch, chunks, states, channels): gradient of the state behind every chunk
  float* A;         ///< (batch, chunks, states, channels)
  float *D, *bias;  ///< (batch, chunks, channels)
  float *B, *C;     ///< (batch, length, groups, tiles, states)

  Parts(int64_t batch, int64_t length, int64_t channels, int64_t states, int64_t groups, float* scratch)
      : states_size(batch * chunks_of(length) * states * channels),
        sums_size(batch * chunks_of(length) * channels),
        tokens_size(batch * length * groups * tiles_of_group(channels, groups) * states),
        incoming(scratch),
        A(incoming + states_size),
        D(A + states_size),
        bias(D + sums_size),
        B(bias + sums_size),
        C(B + tokens_size) {}
  int64_t size() const { return 2 * (states_size + sums_size + tokens_size); }
};

/// Gradient of y at a token: that of the output, through the gate when there is one.
template <class Input>
__device__ float grad_of_y(const SelectiveScanCudaGradients<Input>& g, const ScanThread& w, int64_t p) {
  if (!w.active) return 0;
  const float grad = row(g.grad_out, w.item, p)[w.channel];
  if (!g.z.data) return grad;
  const float z = load(row(g.z, w.item, p) + w.channel);
  return grad * z * sigmoid(z);
}

template <class Input, int P>
__global__ void chunk_starts(SelectiveScanCuda<Input> s, SelectiveScanCudaGradients<Input> g, float* starts) {
  const ScanThread w(s);
  const float bias = bias_of(s, w);
  float A[P], C[P], grad_x[P] = {};
  load_A(s, w, A);
  for (int64_t t = w.end - 1; t >= w.begin; --t) {
    const int64_t p = token(s, t);
    const float dt = StepSize(s, w, p, bias).dt, grad_y = grad_of_y(g, w, p);
    load_states(s, w, s.C, p, C);
    for (int i = 0; i < P; ++i) grad_x[i] = power_of_two(dt * A[i]) * (grad_x[i] + grad_y * C[i]);
  }
  store_border(s, w, grad_x, starts);
}

/// One thread a (item, channel, state): starts become the gradients behind every chunk.
template <class Input>
__global__ void join_chunks(SelectiveScanCuda<Input> s, float* incoming, const float* step_sums) {
  const int64_t index = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (index >= s.batch * s.states * s.channels) return;
  const int64_t c = index % s.channels, n = index / s.channels % s.states,
                item = index / s.channels / s.states;
  const int64_t chunks = (s.length + kCudaScanChunk - 1) / kCudaScanChunk;
  const float A = s.A[c * s.states + n] * kLog2e;
  float* border = incoming + (item * chunks * s.states + n) * s.channels + c;
  const float* sum = step_sums + item * chunks * s.channels + c;
  const int64_t to_next = s.states * s.channels;
  float grad_x = 0;
  for (int64_t last = chunks - 1; last >= 0; last -= kAhead) {
    float starts[kAhead], decays[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (i > last) break;
      starts[i] = border[(last - i) * to_next];
      decays[i] = power_of_two(A * sum[(last - i) * s.channels]);
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (i > last) break;
      border[(last - i) * to_next] = grad_x;
      grad_x = decays[i] * grad_x + starts[i];
    }
  }
}

/// One step of the recurrence.
template <class Input, int P>
__device__ void advance(const SelectiveScanCuda<Input>& s, const ScanThread& w, int64_t t, float bias,
                        const float (&A)[P], float (&x)[P]) {
  const int64_t p = token(s, t);
  float B[P];
  load_states(s, w, s.B, p, B);
  const float dt = StepSize(s, w, p, bias).dt, dt_u = dt * load(row(s.u, w.item, p) + w.channel);
  for (int i = 0; i < P; ++i) x[i] = power_of_two(dt * A[i]) * x[i] + dt_u * B[i];
}

template <class Input, int P>
__global__ void chunk_gradients(SelectiveScanCuda<Input> s, SelectiveScanCudaGradients<Input> g,
                                Parts parts) {
  __shared__ float of_warp[2][kWarps][P * kStateLanes];
  const ScanThread w(s);
  const float bias = bias_of(s, w), skip = s.D ? s.D[w.channel] : 0;
  const int64_t tiles = tiles_of_group(s.channels, s.groups);
  float A[P], B[P], C[P], x[P], grad_x[P], grad_A[P] = {}, grad_D = 0, grad_bias = 0;
  float at_span[kSpan][P], before[kSpan + 1][P];  // x before every span, and before every step of a span
  load_A(s, w, A);
  load_border(s, w, parts.incoming, grad_x);
  load_border(s, w, g.borders, x);
  for (int64_t t = w.begin; t < w.end; ++t) {
    if ((t - w.begin) % kSpan == 0) {
      for (int i = 0; i < P; ++i) at_span[(t - w.begin) / kSpan][i] = x[i];
    }
    advance(s, w, t, bias, A, x);
  }
  for (int64_t span = (w.end - w.begin - 1) / kSpan; span >= 0; --span) {
    const int64_t first = w.begin + span * kSpan, last = first + kSpan < w.end ? first + kSpan : w.end;
    for (int i = 0; i < P; ++i) x[i] = before[0][i] = at_span[span][i];
    for (int64_t t = first; t < last; ++t) {
      advance(s, w, t, bias, A, x);
      for (int i = 0; i < P; ++i) before[t - first + 1][i] = x[i];
    }
    for (int64_t t = last - 1; t >= first; --t) {
      const int64_t p = token(s, t);
      const StepSize size(s, w, p, bias);
      const float dt = size.dt, u = w.active ? load(row(s.u, w.item, p) + w.channel) : 0;
      const float grad_y = grad_of_y(g, w, p);
      load_states(s, w, s.B, p, B);
      load_states(s, w, s.C, p, C);
      float sum_A = 0, sum_B = 0;
      for (int i = 0; i < P; ++i) {
        const float decay = power_of_two(dt * A[i]);
        grad_x[i] += grad_y * C[i];
        const float grad_exponent = grad_x[i] * decay * before[t - first][i];  // of dt * A
        sum_A += grad_exponent * A[i];
        sum_B += grad_x[i] * B[i];
        grad_A[i] += grad_exponent * dt;
        const float of_B = sum_of_channels(grad_x[i] * dt * u);
        const float of_C = sum_of_channels(grad_y * before[t - first + 1][i]);
        if (threadIdx.x % kWarp < kStateLanes) {
          of_warp[0][threadIdx.x / kWarp][w.lane + i * kStateLanes] = of_B;
          of_warp[1][threadIdx.x / kWarp][w.lane + i * kStateLanes] = of_C;
        }
        grad_x[i] *= decay;
      }
      __syncthreads();
      for (int64_t n = threadIdx.x; n < s.states; n += kBlock) {
        float of_B = 0, of_C = 0;
        for (int warp = 0; warp < kWarps; ++warp) {
          of_B += of_warp[0][warp][n];
          of_C += of_warp[1][warp][n];
        }
        const int64_t to = (((w.item * s.length + p) * s.groups + w.group) * tiles + w.tile) * s.states + n;
        parts.B[to] = of_B;
        parts.C[to] = of_C;
      }
      __syncthreads();
      sum_A = sum_of_states(sum_A) / kLog2e;
      sum_B = sum_of_states(sum_B);
      if (!w.active || w.lane != 0) continue;
      const float grad_delta = (sum_A + sum_B * u) * size.slope;
      row(g.delta, w.item, p)[w.channel] = grad_delta;
      grad_bias += grad_delta;
      grad_D += grad_y * u;
      float& grad_u = row(g.u, w.item, p)[w.channel];
      grad_u = (g.u_accumulate ? grad_u : 0) + sum_B * dt + grad_y * skip;
    }
  }
  store_border(s, w, grad_A, parts.A);
  if (w.active && w.lane == 0) {
    parts.D[w.sum(s.channels)] = grad_D;
    parts.bias[w.sum(s.channels)] = grad_bias;
  }
}

/// to[c * states + n] += the sum over `count` of parts[i][n][c].
__global__ void add_chunks(const float* parts, int64_t count, int64_t states, int64_t channels, float* to) {
  const int64_t index = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (index >= states * channels) return;
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += parts[i * states * channels + index];
  to[index % channels * states + index / channels] += sum;
}

/// Row (item, p) of `to`, (groups, states), = the sums over the tiles of parts.
__global__ void add_tiles(const float* parts, int64_t batch, int64_t length, int64_t groups, int64_t tiles,
                          int64_t states, TokenRows<float> to) {
  const int64_t index = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (index >= batch * length * groups * states) return;
  const int64_t n = index % states, row_index = index / states, group = row_index % groups;
  const int64_t p = row_index / groups % length, item = row_index / groups / length;
  float sum = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) sum += parts[(row_index * tiles + tile) * states + n];
  row(to, item, p)[group * states + n] = sum;
}

int64_t blocks_for(int64_t threads) { return (threads + kBlock - 1) / kBlock; }

}  // namespace

int64_t selective_scan_cuda_scratch(int64_t batch, int64_t length, int64_t channels, int64_t states,
                                    int64_t groups) {
  return Parts(batch, length, channels, states, groups, nullptr).size();
}

template <class Input>
void selective_scan_backward_cuda(const SelectiveScanCuda<Input>& s,
                                  const SelectiveScanCudaGradients<Input>& g, void* stream) {
  const Parts parts(s.batch, s.length, s.channels, s.states, s.groups, g.scratch);
  const int64_t blocks = work_blocks(s.batch, s.length, s.channels, s.groups);
  const int64_t chunks = s.batch * chunks_of(s.length), tiles = tiles_of_group(s.channels, s.groups);
  with_states(s.states, [&](auto each) {
    launch(chunk_starts<Input, each()>, blocks, kBlock, stream, s, g, parts.incoming);
    launch(join_chunks<Input>, blocks_for(s.batch * s.states * s.channels), kBlock, stream, s, parts.incoming,
           g.step_sums);
    launch(chunk_gradients<Input, each()>, blocks, kBlock, stream, s, g, parts);
  });
  launch(add_chunks, blocks_for(s.states * s.channels), kBlock, stream, parts.A, chunks, s.states, s.channels,
         g.A);
  if (g.D) launch(add_chunks, blocks_for(s.channels), kBlock, stream, parts.D, chunks, 1, s.channels, g.D);
  if (g.delta_bias)
    launch(add_chunks, blocks_for(s.channels), kBlock, stream, parts.bias, chunks, 1, s.channels,
           g.delta_bias);
  const int64_t rows = blocks_for(s.batch * s.length * s.groups * s.states);
  launch(add_tiles, rows, kBlock, stream, parts.B, s.batch, s.length, s.groups, tiles, s.states, g.B);
  launch(add_tiles, rows, kBlock, stream, parts.C, s.batch, s.length, s.groups, tiles, s.states, g.C);
}

template void selective_scan_backward_cuda(const SelectiveScanCuda<float>&,
                                           const SelectiveScanCudaGradients<float>&, void*);
template void selective_scan_backward_cuda(const SelectiveScanCuda<Bfloat16>&,
                                           const SelectiveScanCudaGradients<Bfloat16>&, void*);

}  // namespace mambaseg
