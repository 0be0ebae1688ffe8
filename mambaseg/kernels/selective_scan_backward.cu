// The selective scan on the GPU, backward, all directions side by side. As the forward pass, from the end of
// the walk: the gradient that every chunk passes on when it receives none; the true ones between the chunks;
// all gradients, chunks side by side, with the states recomputed from the chunk's border. Sums over channels,
// chunks and directions are written as parts and added in a fixed order by launches of their own: no atomics.

#include "mambaseg/kernels/selective_scan_device.cuh"

namespace mambaseg {
namespace {

/// The arrays within SelectiveScanCudaGradients::scratch.
struct Parts {
  int64_t states_size, sums_size, tokens_size, u_size;
  float* incoming;  ///< (directions, batch, chunks, channels, states): gradient of the state behind a chunk
  float* A;         ///< (directions, batch, chunks, channels, states)
  float *D, *bias;  ///< (directions, batch, chunks, channels)
  float *B, *C;     ///< (directions, batch, length, groups, tiles, states)
  float* u;         ///< (directions, batch, length, channels), or null: no sum over directions is made

  template <class Input>
  Parts(const SelectiveScanCuda<Input>& s, float* scratch)
      : states_size(s.directions * s.batch * chunks_of(s.length) * s.states * s.channels),
        sums_size(s.directions * s.batch * chunks_of(s.length) * s.channels),
        tokens_size(s.directions * s.batch * s.length * s.groups *
                    parts_of_group(s.channels, s.groups, kTileChannels) * s.states),
        u_size(s.shared_u && s.directions > 1 ? s.directions * s.batch * s.length * s.channels : 0),
        incoming(scratch),
        A(incoming + states_size),
        D(A + states_size),
        bias(D + sums_size),
        B(bias + sums_size),
        C(B + tokens_size),
        u(u_size > 0 ? C + tokens_size : nullptr) {}
  int64_t size() const { return 2 * (states_size + sums_size + tokens_size) + u_size; }
};

/// Gradient of y at a token: that of the output, through the gate when there is one.
template <class Input>
__device__ float grad_of_y(const SelectiveScanCudaGradients<Input>& g, const ScanBlock& w, int64_t p,
                           int64_t channel) {
  const float grad = row(g.grad_out, w, p)[channel];
  if (!g.z.data) return grad;
  const float z = load(row(g.z, w, p) + channel);
  return grad * z * sigmoid(z);
}

template <class Shape, class Input>
__device__ void load_grad_y(const SelectiveScanCuda<Input>& s, const SelectiveScanCudaGradients<Input>& g,
                            const ScanBlock& w, int first, float (&to)[kSpan][Shape::channels]) {
  for_steps<Shape>([&](int j, int c) {
    const int channel = w.first + c;
    const bool there = first + j < w.steps && channel < w.end;
    to[j][c] = there ? grad_of_y(g, w, token(s, w, first + j), channel) : 0;
  });
}

template <class Input, class Shape>
__global__ void __launch_bounds__(Shape::threads, Shape::blocks(1024))
    chunk_starts(SelectiveScanCuda<Input> s, SelectiveScanCudaGradients<Input> g, float* starts) {
  __shared__ Span<Shape> span;
  __shared__ float grad_y[kSpan][Shape::channels];
  const ScanBlock w(s, Shape::channels);
  const ScanThread<Shape> me;
  float A[Shape::each], grad_x[Shape::each] = {};
  load_A(s, w, me, A);
  for (int first = (w.steps - 1) / kSpan * kSpan; first >= 0; first -= kSpan) {
    load_steps(s, w, first, false, span);
    load_states<Shape>(s, w, first, s.C, span.C);
    load_grad_y<Shape>(s, g, w, first, grad_y);
    __syncthreads();
#pragma unroll
    for (int j = kSpan - 1; j >= 0; --j) {
      const float dt = span.dt[j][me.channel], grad = grad_y[j][me.channel];
#pragma unroll
      for (int i = 0; i < Shape::each; ++i)
        grad_x[i] = power_of_two(dt * A[i]) * (grad_x[i] + grad * span.C[j][me.state(i)]);
    }
    __syncthreads();
  }
  store_border(s, w, me, grad_x, starts);
}

/// One thread a (direction, item, channel, state): starts become the gradients behind every chunk.
template <class Input>
__global__ void join_chunks(SelectiveScanCuda<Input> s, float* incoming, const float* step_sums) {
  const int64_t index = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  const int64_t size = s.channels * s.states, at = index % size, walk = index / size;
  if (walk >= s.directions * s.batch) return;
  const int64_t chunks = chunks_of(s.length);
  const float A = s.A[walk / s.batch * size + at] * kLog2e;
  float* border = incoming + walk * chunks * size + at;
  const float* sum = step_sums + walk * chunks * s.channels + at / s.states;
  float grad_x = 0;
  for (int64_t last = chunks - 1; last >= 0; last -= kAhead) {
    float starts[kAhead], decays[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (i > last) break;
      starts[i] = border[(last - i) * size];
      decays[i] = power_of_two(A * sum[(last - i) * s.channels]);
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      if (i > last) break;
      border[(last - i) * size] = grad_x;
      grad_x = decays[i] * grad_x + starts[i];
    }
  }
}

constexpr int kKept = kSpan / 2;  // steps whose states a thread keeps in registers

/// Shared memory of chunk_gradients.
template <class Shape>
struct GradientSpan {
  Span<Shape> in;
  float grad_y[kSpan][Shape::channels];
  float sum_A[kSpan][Shape::channels], sum_B[kSpan][Shape::channels];
  float x[kSpans][Shape::each][Shape::threads];  ///< before every span
  /// Sums over channels: (step's parity, warp, B or C, state).
  float of_warps[2][Shape::warps][2][Shape::states];
};

/// The sums over the warps of (B or C, state) go to the parts of step `step`; those of the channels that a
/// block follows after others are added to theirs, by the thread that wrote them.
template <class Input, class Shape>
__device__ void add_warps(const SelectiveScanCuda<Input>& s, const ScanBlock& w, int step, int tiles,
                          const float (&of_warps)[Shape::warps][2][Shape::states], bool first_pass,
                          const Parts& parts) {
  const int64_t p = token(s, w, step), token_row = (w.direction * s.batch + w.item) * s.length + p;
  const int64_t to = ((token_row * s.groups + w.group) * tiles + w.tile) * s.states;
  for_numbers<Shape, 2 * Shape::states>([&](int number) {
    const int is_C = number / Shape::states, n = number % Shape::states;
    if (n >= s.states) return;
    float& sum = (is_C ? parts.C : parts.B)[to + n];
    float total = first_pass ? 0 : sum;
    for (int warp = 0; warp < Shape::warps; ++warp) total += of_warps[warp][is_C][n];
    sum = total;
  });
}

/// All gradients of a chunk, and of a tile of channels, some of them at a time.
template <class Input, class Shape>
__global__ void __launch_bounds__(Shape::threads, Shape::blocks(768))
    chunk_gradients(SelectiveScanCuda<Input> s, SelectiveScanCudaGradients<Input> g, Parts parts) {
  constexpr int each = Shape::each;
  __shared__ GradientSpan<Shape> span;
  ScanBlock w(s, kTileChannels);
  const ScanThread<Shape> me;
  const int end = w.first + kTileChannels < w.end ? w.first + kTileChannels : w.end;
  const int tiles = static_cast<int>(parts_of_group(s.channels, s.groups, kTileChannels));
  const int warp = static_cast<int>(threadIdx.x) / kWarp, last_span = (w.steps - 1) / kSpan;
  for (bool first_pass = true; w.first < end; w.first += Shape::channels, first_pass = false) {
    float A[each], grad_x[each], grad_A[each] = {}, x[each], grad_D = 0, grad_bias = 0;
    load_A(s, w, me, A);
    load_border(s, w, me, parts.incoming, grad_x);
    load_border(s, w, me, g.borders, x);
    for (int at = 0; at <= last_span; ++at) {
#pragma unroll
      for (int i = 0; i < each; ++i) span.x[at][i][threadIdx.x] = x[i];
      if (at == last_span) break;
      load_steps(s, w, at * kSpan, true, span.in);
      load_states<Shape>(s, w, at * kSpan, s.B, span.in.B);
      __syncthreads();
#pragma unroll
      for (int j = 0; j < kSpan; ++j) advance(span.in, j, me, A, x);
      __syncthreads();
    }
    for (int at = last_span; at >= 0; --at) {
      const int first = at * kSpan;
      load_steps(s, w, first, true, span.in);
      load_grad_y<Shape>(s, g, w, first, span.grad_y);
      load_states<Shape>(s, w, first, s.B, span.in.B);
      load_states<Shape>(s, w, first, s.C, span.in.C);
      __syncthreads();
#pragma unroll 1
      for (int from = kSpan - kKept; from >= 0; from -= kKept) {
#pragma unroll
        for (int i = 0; i < each; ++i) x[i] = span.x[at][i][threadIdx.x];
        for (int j = 0; j < from; ++j) advance(span.in, j, me, A, x);
        float before[kKept + 1][each];  // x before every step, and behind the last
#pragma unroll
        for (int k = 0; k <= kKept; ++k) {
          if (k > 0) advance(span.in, from + k - 1, me, A, x);
#pragma unroll
          for (int i = 0; i < each; ++i) before[k][i] = x[i];
        }
        float sum_A[kKept], sum_B[kKept];
#pragma unroll
        for (int k = kKept - 1; k >= 0; --k) {
          const int j = from + k;
          const float dt = span.in.dt[j][me.channel], dt_u = dt * span.in.u[j][me.channel],
                      grad_y = span.grad_y[j][me.channel];
          float both[2 * each];  // gradients of B, then of C
          sum_A[k] = sum_B[k] = 0;
#pragma unroll
          for (int i = 0; i < each; ++i) {
            const int n = me.state(i);
            const float decay = power_of_two(dt * A[i]);
            grad_x[i] += grad_y * span.in.C[j][n];
            const float grad_exponent = grad_x[i] * decay * before[k][i];  // of dt * A
            sum_A[k] += grad_exponent * A[i];
            sum_B[k] += grad_x[i] * span.in.B[j][n];
            grad_A[i] += grad_exponent * dt;
            both[i] = grad_x[i] * dt_u;
            both[each + i] = grad_y * before[k + 1][i];
            grad_x[i] *= decay;
          }
          const Spread spread = spread_sums<kWarp / 2, Shape::lanes>(both);
          auto& of_warps = span.of_warps[k % 2];
#pragma unroll
          for (int i = 0; i < spread_count(2 * each, kWarp / Shape::lanes); ++i) {
            const int of = spread.first + i;
            if (spread.writes) of_warps[warp][of / each][me.state(of % each)] = both[i];
          }
          if (k == 0) {
            sum_states(me, sum_A, &span.sum_A[from]);
            sum_states(me, sum_B, &span.sum_B[from]);
          }
          __syncthreads();
          if (first + j < w.steps)
            add_warps<Input, Shape>(s, w, first + j, tiles, of_warps, first_pass, parts);
        }
      }
      for_steps<Shape>([&](int j, int c) {
        const int channel = w.first + c;
        if (first + j >= w.steps || channel >= w.end) return;
        const int64_t p = token(s, w, first + j);
        const float u = span.in.u[j][c], grad_y = span.grad_y[j][c], by_B = span.sum_B[j][c];
        // Of softplus: sigmoid(v) = 1 - exp(-softplus(v)), which is 1 above 20.
        const float slope = s.delta_softplus ? -expm1f(-span.in.dt[j][c]) : 1;
        const float grad_delta = (span.sum_A[j][c] / kLog2e + by_B * u) * slope;
        row(g.delta, w, p)[channel] = grad_delta;
        grad_bias += grad_delta;
        grad_D += grad_y * u;
        const float skip = s.D ? s.D[w.direction * s.channels + channel] : 0;
        const float grad_u = by_B * span.in.dt[j][c] + grad_y * skip;
        if (parts.u) {
          parts.u[((w.direction * s.batch + w.item) * s.length + p) * s.channels + channel] = grad_u;
        } else {
          float& to = row(g.u, w, p)[channel];
          to = g.u_accumulate ? to + grad_u : grad_u;
        }
      });
    }
    store_border(s, w, me, grad_A, parts.A);
    // Every thread of these sums has some steps of a channel. The states are not needed any more.
    auto& of_D = span.x[0][0];
    auto& of_bias = span.x[1][0];
    of_D[threadIdx.x] = grad_D;
    of_bias[threadIdx.x] = grad_bias;
    __syncthreads();
    const int channel = w.first + static_cast<int>(threadIdx.x);
    if (threadIdx.x < Shape::channels && channel < w.end) {
      for (unsigned at = threadIdx.x + Shape::channels; at < Shape::threads; at += Shape::channels) {
        grad_D += of_D[at];
        grad_bias += of_bias[at];
      }
      parts.D[w.chunk * s.channels + channel] = grad_D;
      parts.bias[w.chunk * s.channels + channel] = grad_bias;
    }
    __syncthreads();
  }
}

/// Row `direction` of `to`, `size` numbers, = the sum over `count` rows of parts.
__global__ void add_chunks(const float* parts, int64_t directions, int64_t count, int64_t size, float* to) {
  const int64_t index = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (index >= directions * size) return;
  const float* from = parts + index / size * count * size + index % size;
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += from[i * size];
  to[index] = sum;
}

/// Row (direction, item, p) of `to`, (groups, states), = the sums over the tiles of parts.
template <class Input>
__global__ void add_tiles(SelectiveScanCuda<Input> s, const float* parts, TokenRows<float> to) {
  const int64_t index = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (index >= s.directions * s.batch * s.length * s.groups * s.states) return;
  const int64_t tiles = parts_of_group(s.channels, s.groups, kTileChannels);
  const int64_t n = index % s.states, row_index = index / s.states, group = row_index % s.groups;
  const int64_t p = row_index / s.groups % s.length, walk = row_index / s.groups / s.length;
  float sum = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) sum += parts[(row_index * tiles + tile) * s.states + n];
  to.data[walk % s.batch * to.batch_stride + walk / s.batch * to.direction_stride + p * to.token_stride +
          group * s.states + n] = sum;
}

template <class Input>
__global__ void add_directions(SelectiveScanCuda<Input> s, SelectiveScanCudaGradients<Input> g,
                               const float* parts) {
  add_parts(s, parts, [&](int64_t item, int64_t p, int64_t channel, float sum) {
    float& to = g.u.data[item * g.u.batch_stride + p * g.u.token_stride + channel];
    to = g.u_accumulate ? to + sum : sum;
  });
}

}  // namespace

template <class Input>
int64_t selective_scan_cuda_scratch(const SelectiveScanCuda<Input>& s) {
  return Parts(s, nullptr).size();
}

template <class Input>
void selective_scan_backward_cuda(const SelectiveScanCuda<Input>& s,
                                  const SelectiveScanCudaGradients<Input>& g, void* stream) {
  const Parts parts(s, g.scratch);
  const int64_t size = s.states * s.channels, chunks = s.batch * chunks_of(s.length);
  with_shape(s.states, [&](auto shape) {
    using Shape = decltype(shape);
    launch(chunk_starts<Input, Shape>, scan_blocks(s, Shape::channels), Shape::threads, stream, s, g,
           parts.incoming);
    launch(join_chunks<Input>, blocks_for(s.directions * s.batch * size), kPlainBlock, stream, s,
           parts.incoming, g.step_sums);
    launch(chunk_gradients<Input, Shape>, scan_blocks(s, kTileChannels), Shape::threads, stream, s, g, parts);
  });
  const auto add = [&](const float* from, int64_t numbers, float* to) {
    if (to)
      launch(add_chunks, blocks_for(s.directions * numbers), kPlainBlock, stream, from, s.directions, chunks,
             numbers, to);
  };
  add(parts.A, size, g.A);
  add(parts.D, s.channels, g.D);
  add(parts.bias, s.channels, g.delta_bias);
  const int64_t rows = blocks_for(s.directions * s.batch * s.length * s.groups * s.states);
  launch(add_tiles<Input>, rows, kPlainBlock, stream, s, parts.B, g.B);
  launch(add_tiles<Input>, rows, kPlainBlock, stream, s, parts.C, g.C);
  if (parts.u)
    launch(add_directions<Input>, blocks_for(s.batch * s.length * s.channels), kPlainBlock, stream, s, g,
           parts.u);
}

template int64_t selective_scan_cuda_scratch(const SelectiveScanCuda<float>&);
template int64_t selective_scan_cuda_scratch(const SelectiveScanCuda<Bfloat16>&);
template void selective_scan_backward_cuda(const SelectiveScanCuda<float>&,
                                           const SelectiveScanCudaGradients<float>&, void*);
template void selective_scan_backward_cuda(const SelectiveScanCuda<Bfloat16>&,
                                           const SelectiveScanCudaGradients<Bfloat16>&, void*);

}  // namespace mambaseg
