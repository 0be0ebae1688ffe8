// The depthwise convolution on the GPU. A thread computes eight outputs of a row, so that an input it has
// loaded serves up to eight of them; in the weight gradient it sums one row of taps over some of the
// positions. Neighbouring threads take neighbouring channels when those are contiguous, else neighbouring
// places of a row.

#include "mambaseg/kernels/cuda_launch.cuh"
#include "mambaseg/kernels/depthwise_conv_cuda.h"

namespace mambaseg {
namespace {

constexpr int kBlock = 256;
constexpr int kOutputs = 8;
constexpr int kMostTaps = 16;  // along a row, in one launch of the weight gradient
constexpr int kSplits = 32;    // parts of a sum over positions

__device__ int64_t place(const DepthwiseConv& conv, int64_t k) { return conv.order ? conv.order[k] : k; }

/// Index -> (channel, rest): channels fastest when they are contiguous.
struct Split {
  int64_t channel, rest;
  __device__ Split(int64_t index, int64_t channels, int64_t others, bool channels_last)
      : channel(channels_last ? index % channels : index / others),
        rest(channels_last ? index / channels : index % others) {}
};

/// Row (plane, line) of x at the taps (a, b) of output row (i, j), or null outside of x.
template <class T>
__device__ const T* input_row(const DepthwiseConvCuda& c, const T* x, int64_t item, int64_t channel,
                              int64_t i, int64_t j) {
  const DepthwiseConv& conv = c.conv;
  if (i < 0 || i >= conv.input[0] || j < 0 || j >= conv.input[1]) return nullptr;
  return x + item * c.input_batch_stride + channel * conv.input_channel_stride +
         (i * conv.input[1] + j) * conv.input[2] * conv.input_position_stride;
}

template <class T>
__device__ float input_at(const DepthwiseConv& conv, const T* row, int64_t k) {
  if (k < 0 || k >= conv.input[2]) return 0;
  return load(row + place(conv, k) * conv.input_position_stride);
}

template <class T>
__global__ void forward(DepthwiseConvCuda c, const T* x, const float* weight, const float* bias, bool flipped,
                        T* y) {
  const DepthwiseConv& conv = c.conv;
  const int64_t pieces = (conv.output[2] + kOutputs - 1) / kOutputs;
  const int64_t per_item = conv.output[0] * conv.output[1] * pieces, others = c.batch * per_item;
  const int64_t index = blockIdx.x * static_cast<int64_t>(kBlock) + threadIdx.x;
  if (index >= others * c.channels) return;
  const Split at(index, c.channels, others, conv.output_channel_stride == 1);
  const int64_t item = at.rest / per_item, first = at.rest % pieces * kOutputs;
  const int64_t j = at.rest / pieces % conv.output[1], i = at.rest / pieces / conv.output[1] % conv.output[0];
  const int64_t taps = conv.taps();
  const float* w = weight + at.channel * taps;
  float sums[kOutputs];
  for (int o = 0; o < kOutputs; ++o) sums[o] = bias ? bias[at.channel] : 0;
  for (int64_t a = 0; a < conv.kernel[0]; ++a) {
    for (int64_t b = 0; b < conv.kernel[1]; ++b) {
      const T* row = input_row(c, x, item, at.channel, i + a - conv.padding[0], j + b - conv.padding[1]);
      if (!row) continue;
      const int64_t tap = (a * conv.kernel[1] + b) * conv.kernel[2];
      float window[kOutputs];  // the inputs that the tap at hand meets
      for (int o = 0; o + 1 < kOutputs; ++o) window[o + 1] = input_at(conv, row, first + o - conv.padding[2]);
      for (int64_t k = 0; k < conv.kernel[2]; ++k) {
        for (int o = 0; o + 1 < kOutputs; ++o) window[o] = window[o + 1];
        window[kOutputs - 1] = input_at(conv, row, first + kOutputs - 1 + k - conv.padding[2]);
        const float value = w[flipped ? taps - 1 - tap - k : tap + k];
        for (int o = 0; o < kOutputs; ++o) sums[o] += value * window[o];
      }
    }
  }
  T* to = y + item * c.output_batch_stride + at.channel * conv.output_channel_stride +
          (i * conv.output[1] + j) * conv.output[2] * conv.output_position_stride;
  for (int o = 0; o < kOutputs && first + o < conv.output[2]; ++o)
    store(sums[o], to + place(conv, first + o) * conv.output_position_stride);
}

/// Threads of a block that sum for one channel: all of them, or one in 32 when 32 channels lie side by side.
__host__ __device__ int lanes(bool channels_last) { return channels_last ? 32 : 1; }

/// Sums over every kSplits-th share of the positions for one row of taps (row / kernel[1], row % kernel[1]),
/// from tap `first_tap` on; the row behind the last holds the bias: the sum of grad_y alone.
/// parts (kSplits, channels, taps + 1).
template <class T>
__global__ void sum_products(DepthwiseConvCuda c, const T* x, const T* grad_y, int64_t first_tap,
                             float* parts) {
  __shared__ float shared[kBlock];
  const DepthwiseConv& conv = c.conv;
  const int wide = lanes(conv.output_channel_stride == 1), height = kBlock / wide;
  const int64_t tap_rows = conv.kernel[0] * conv.kernel[1], tiles = (c.channels + wide - 1) / wide;
  const int64_t row = blockIdx.x % (tap_rows + 1), split = blockIdx.x / (tap_rows + 1) % kSplits;
  const int64_t tile = blockIdx.x / (tap_rows + 1) / kSplits % tiles;
  const int64_t channel = tile * wide + threadIdx.x % wide;
  const bool is_bias = row == tap_rows;
  const int64_t rest = conv.kernel[2] - first_tap;
  const int count = is_bias ? 1 : static_cast<int>(rest < kMostTaps ? rest : kMostTaps);
  const int64_t columns = conv.output[2], per_item = conv.output[0] * conv.output[1] * columns;
  float sums[kMostTaps] = {};
  if (channel < c.channels) {
    for (int64_t at = split * height + threadIdx.x / wide; at < c.batch * per_item; at += kSplits * height) {
      const int64_t item = at / per_item, k = at % columns, j = at / columns % conv.output[1],
                    i = at / columns / conv.output[1] % conv.output[0];
      const float g =
          load(grad_y + item * c.output_batch_stride + channel * conv.output_channel_stride +
               ((i * conv.output[1] + j) * columns + place(conv, k)) * conv.output_position_stride);
      if (is_bias) {
        sums[0] += g;
        continue;
      }
      const T* from = input_row(c, x, item, channel, i + row / conv.kernel[1] - conv.padding[0],
                                j + row % conv.kernel[1] - conv.padding[1]);
      if (!from) continue;
      for (int t = 0; t < kMostTaps; ++t) {
        if (t < count) sums[t] += g * input_at(conv, from, k + first_tap + t - conv.padding[2]);
      }
    }
  }
  for (int t = 0; t < count; ++t) {
    shared[threadIdx.x] = sums[t];
    __syncthreads();
    for (int half = kBlock / 2; half >= wide; half /= 2) {
      if (threadIdx.x < static_cast<unsigned>(half)) shared[threadIdx.x] += shared[threadIdx.x + half];
      __syncthreads();
    }
    const int64_t tap = is_bias ? conv.taps() : row * conv.kernel[2] + first_tap + t;
    if (threadIdx.x < static_cast<unsigned>(wide) && channel < c.channels)
      parts[(split * c.channels + channel) * (conv.taps() + 1) + tap] = shared[threadIdx.x];
    __syncthreads();
  }
}

__global__ void add_splits(const float* parts, int64_t channels, int64_t taps, float* grad_weight,
                           float* grad_bias) {
  const int64_t index = blockIdx.x * static_cast<int64_t>(kBlock) + threadIdx.x;
  if (index >= channels * (taps + 1)) return;
  float sum = 0;
  for (int split = 0; split < kSplits; ++split) sum += parts[split * channels * (taps + 1) + index];
  const int64_t channel = index / (taps + 1), tap = index % (taps + 1);
  if (tap < taps) {
    grad_weight[channel * taps + tap] = sum;
  } else if (grad_bias) {
    grad_bias[channel] = sum;
  }
}

}  // namespace

template <class T>
void depthwise_conv_forward_cuda(const DepthwiseConvCuda& c, const T* x, const float* weight,
                                 const float* bias, bool flipped, T* y, void* stream) {
  const int64_t pieces = (c.conv.output[2] + kOutputs - 1) / kOutputs;
  const int64_t threads = c.batch * c.channels * c.conv.output[0] * c.conv.output[1] * pieces;
  launch(forward<T>, (threads + kBlock - 1) / kBlock, kBlock, stream, c, x, weight, bias, flipped, y);
}

int64_t depthwise_conv_cuda_scratch(const DepthwiseConvCuda& c) {
  return kSplits * c.channels * (c.conv.taps() + 1);
}

template <class T>
void depthwise_conv_backward_weight_cuda(const DepthwiseConvCuda& c, const T* x, const T* grad_y,
                                         float* grad_weight, float* grad_bias, float* scratch, void* stream) {
  const int wide = lanes(c.conv.output_channel_stride == 1);
  const int64_t tiles = (c.channels + wide - 1) / wide;
  const int64_t blocks = (c.conv.kernel[0] * c.conv.kernel[1] + 1) * kSplits * tiles;
  for (int64_t tap = 0; tap < c.conv.kernel[2]; tap += kMostTaps)
    launch(sum_products<T>, blocks, kBlock, stream, c, x, grad_y, tap, scratch);
  const int64_t sums = c.channels * (c.conv.taps() + 1);
  launch(add_splits, (sums + kBlock - 1) / kBlock, kBlock, stream, scratch, c.channels, c.conv.taps(),
         grad_weight, grad_bias);
}

template void depthwise_conv_forward_cuda(const DepthwiseConvCuda&, const float*, const float*, const float*,
                                          bool, float*, void*);
template void depthwise_conv_forward_cuda(const DepthwiseConvCuda&, const Bfloat16*, const float*,
                                          const float*, bool, Bfloat16*, void*);
template void depthwise_conv_backward_weight_cuda(const DepthwiseConvCuda&, const float*, const float*,
                                                  float*, float*, float*, void*);
template void depthwise_conv_backward_weight_cuda(const DepthwiseConvCuda&, const Bfloat16*, const Bfloat16*,
                                                  float*, float*, float*, void*);

}  // namespace mambaseg
