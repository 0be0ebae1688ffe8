#pragma once

#include <cstdint>

#include "mambaseg/kernels/bfloat16.h"

namespace mambaseg {

/// Whether the kernels declared here and in depthwise_conv_cuda.h were compiled. When not, none may be
/// called.
bool cuda_kernels_built();

/// Rows of a batch of token sequences on the GPU: token p of item b at data + b * batch_stride + p *
/// token_stride, channels (or groups and states) contiguous.
template <class T>
struct TokenRows {
  T* data = nullptr;
  int64_t batch_stride = 0, token_stride = 0;
};

/// One direction of the selective scan of selective_scan.h over a whole batch, on the GPU. Input is float or
/// Bfloat16; state and results are fp32. B and C depend on the token.
template <class Input>
struct SelectiveScanCuda {
  int64_t batch = 0, length = 0, channels = 0, states = 0, groups = 1;  ///< states up to kMostCudaStates
  TokenRows<const Input> u, delta;                                      ///< channels in a row
  TokenRows<const Input> B, C;                                          ///< (groups, states) in a row
  const float* A = nullptr;                                             ///< (channels, states)
  const float* D = nullptr;                                             ///< (channels) or null
  const float* delta_bias = nullptr;                                    ///< (channels) or null
  bool delta_softplus = true;
  const int32_t* order = nullptr;  ///< (length) or null
  bool backwards = false;          ///< as SelectiveScan::backwards
};

constexpr int64_t kMostCudaStates = 256;

/// What the forward pass writes.
template <class Input>
struct SelectiveScanCudaOutput {
  TokenRows<float> y;
  bool accumulate = false;      ///< add to y
  TokenRows<const Input> z;     ///< gate or null
  TokenRows<float> gated;       ///< y * silu(z) when z is given; may be y
  float* last_state = nullptr;  ///< (channels, states) of item 0, or null
  int64_t last_state_batch_stride = 0;
  float* borders = nullptr;    ///< (batch, chunks, states, channels): x before every chunk
  float* step_sums = nullptr;  ///< (batch, chunks, channels): sum of dt over every chunk
};

/// Gradients of one direction. Nothing is added to but u (where asked), A, D and delta_bias.
template <class Input>
struct SelectiveScanCudaGradients {
  TokenRows<const float> grad_out;
  TokenRows<const Input> z;          ///< gate or null
  const float* borders = nullptr;    ///< as the forward pass wrote them
  const float* step_sums = nullptr;  ///< as the forward pass wrote them
  TokenRows<float> u;
  bool u_accumulate = false;
  TokenRows<float> delta;
  TokenRows<float> B, C;        ///< (groups, states) in a row
  float* A = nullptr;           ///< (channels, states), added
  float* D = nullptr;           ///< (channels) or null, added
  float* delta_bias = nullptr;  ///< (channels) or null, added
  float* scratch = nullptr;     ///< selective_scan_cuda_scratch floats
};

/// Steps per chunk: chunks run side by side, each from the state that the chunks before it leave.
constexpr int64_t kCudaScanChunk = 64;

/// Floats of scratch of the backward pass: of the order of L * N * (2 C / 64 + C / 32).
int64_t selective_scan_cuda_scratch(int64_t batch, int64_t length, int64_t channels, int64_t states,
                                    int64_t groups);

/// Launches on `stream`, a cudaStream_t. No atomics: same bits every time.
template <class Input>
void selective_scan_forward_cuda(const SelectiveScanCuda<Input>& scan,
                                 const SelectiveScanCudaOutput<Input>& output, void* stream);
template <class Input>
void selective_scan_backward_cuda(const SelectiveScanCuda<Input>& scan,
                                  const SelectiveScanCudaGradients<Input>& gradients, void* stream);

}  // namespace mambaseg
