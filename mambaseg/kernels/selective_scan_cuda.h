#pragma once

#include <cstdint>

#include "mambaseg/kernels/bfloat16.h"

namespace mambaseg {

/// Whether the kernels declared here and in depthwise_conv_cuda.h were compiled. When not, none may be
/// called.
bool cuda_kernels_built();

/// Rows of a batch of token sequences on the GPU: token p of item b and direction k at data + b *
/// batch_stride + k * direction_stride + p * token_stride, channels (or groups and states) contiguous.
template <class T>
struct TokenRows {
  T* data = nullptr;
  int64_t batch_stride = 0, direction_stride = 0, token_stride = 0;
};

/// As SelectiveScan::order and SelectiveScan::backwards.
struct ScanWalk {
  const int32_t* order = nullptr;  ///< (length) or null
  bool backwards = false;
};

constexpr int64_t kMostCudaStates = 256;
constexpr int64_t kMostCudaDirections = 8;  ///< in one call

/// The selective scan of selective_scan.h over a whole batch, on the GPU, in some directions side by side.
/// Input is float or Bfloat16; state and results are fp32. B and C depend on the token.
template <class Input>
struct SelectiveScanCuda {
  int64_t batch = 0, directions = 1, length = 0, channels = 0, states = 0, groups = 1;
  TokenRows<const Input> u, delta;    ///< channels in a row
  bool shared_u = true;               ///< u is the same for all directions, so that its gradient is a sum
  TokenRows<const Input> B, C;        ///< (groups, states) in a row
  const float* A = nullptr;           ///< (directions, channels, states)
  const float* D = nullptr;           ///< (directions, channels) or null
  const float* delta_bias = nullptr;  ///< (directions, channels) or null
  bool delta_softplus = true;
  ScanWalk walks[kMostCudaDirections];
};

/// What the forward pass writes. The sums over directions are those of a call for each, which adds to the
/// ones before, to the bit.
template <class Input>
struct SelectiveScanCudaOutput {
  TokenRows<float> y;           ///< the sum over the directions
  bool accumulate = false;      ///< add to y
  TokenRows<const Input> z;     ///< gate or null
  TokenRows<float> gated;       ///< y * silu(z) when z is given; may be y
  float* last_state = nullptr;  ///< (directions, channels, states) of item 0, or null
  int64_t last_state_batch_stride = 0;
  float* borders = nullptr;    ///< (directions, batch, chunks, channels, states): x before every chunk
  float* step_sums = nullptr;  ///< (directions, batch, chunks, channels): sum of dt over every chunk
  float* parts = nullptr;  ///< scratch (directions, batch, length, channels); null with one direction only
};

/// Gradients. Nothing is added to but u, where asked.
template <class Input>
struct SelectiveScanCudaGradients {
  TokenRows<const float> grad_out;
  TokenRows<const Input> z;          ///< gate or null
  const float* borders = nullptr;    ///< as the forward pass wrote them
  const float* step_sums = nullptr;  ///< as the forward pass wrote them
  TokenRows<float> u;                ///< where u is shared, the sum over the directions
  bool u_accumulate = false;
  TokenRows<float> delta;
  TokenRows<float> B, C;        ///< (groups, states) in a row
  float* A = nullptr;           ///< (directions, channels, states)
  float* D = nullptr;           ///< (directions, channels) or null
  float* delta_bias = nullptr;  ///< (directions, channels) or null
  float* scratch = nullptr;     ///< selective_scan_cuda_scratch floats
};

/// Steps per chunk: chunks run side by side, each from the state that the chunks before it leave.
constexpr int64_t kCudaScanChunk = 64;

/// Floats of scratch of the backward pass. For each direction and batch item, L tokens, C channels, N states
/// and G groups of whole tiles of 64 channels: L N (2 C / 64 + 2 C / 64) + 2 L C / 64, and L C where a u is
/// shared by several directions.
template <class Input>
int64_t selective_scan_cuda_scratch(const SelectiveScanCuda<Input>& scan);

/// Launches on `stream`, a cudaStream_t. No atomics: same bits every time.
template <class Input>
void selective_scan_forward_cuda(const SelectiveScanCuda<Input>& scan,
                                 const SelectiveScanCudaOutput<Input>& output, void* stream);
template <class Input>
void selective_scan_backward_cuda(const SelectiveScanCuda<Input>& scan,
                                  const SelectiveScanCudaGradients<Input>& gradients, void* stream);

}  // namespace mambaseg
