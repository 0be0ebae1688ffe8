#pragma once

#include <cstdint>

#include "mambaseg/kernels/target.h"

namespace mambaseg {

/// The selective scan of Mamba-1 (Gu & Dao 2023) over one walk of one batch item, tokens channels-last.
///
/// For the steps t of the walk, p = order[t] and every channel c of group g = c / (channels / groups):
///   dt   = softplus(delta[p,c] + delta_bias[c])          (softplus(v) = v above 20; identity when the flag
///   is off) x[n] = exp(dt * A[c,n]) * x[n] + dt * B[p,g,n] * u[p,c]        x starts at 0 y    = sum over n
///   of C[p,g,n] * x[n]  +  D[c] * u[p,c]
/// A pointer named "or null" may be null. Pointers are those of the whole problem; a call works on the
/// channels [channel_begin, channel_end) only and touches nothing of the others, so threads split the
/// channels.
template <class T>
struct SelectiveScan {
  int64_t length = 0;    ///< tokens
  int64_t channels = 0;  ///< a multiple of groups
  int64_t states = 0;    ///< N
  int64_t groups = 1;
  int64_t channel_begin = 0;
  int64_t channel_end = 0;
  const T* u = nullptr;  ///< token p at u + p * u_stride, channels contiguous
  int64_t u_stride = 0;
  const T* delta = nullptr;
  int64_t delta_stride = 0;
  const T* A = nullptr;  ///< (channels, states)
  const T* B =
      nullptr;  ///< token p at B + p * B_stride: (groups, states); stride 0: (channels, states), every token
  int64_t B_stride = 0;
  const T* C = nullptr;  ///< as B
  int64_t C_stride = 0;
  const T* D = nullptr;           ///< (channels) or null
  const T* delta_bias = nullptr;  ///< (channels) or null
  bool delta_softplus = true;
  const int32_t* order = nullptr;  ///< (length), or null: p = t
  bool backwards = false;          ///< step t visits the token of step length - 1 - t
};

/// What the forward pass writes.
template <class T>
struct SelectiveScanOutput {
  T* y = nullptr;  ///< token p at y + p * y_stride
  int64_t y_stride = 0;
  bool accumulate = false;  ///< add to y (a sum over directions) instead of overwriting it
  const T* z =
      nullptr;  ///< gate or null: gated[p,c] = y[p,c] * silu(z[p,c]), taken from y after this call's part
  int64_t z_stride = 0;
  T* gated = nullptr;  ///< may be y
  int64_t gated_stride = 0;
  T* last_state = nullptr;  ///< (channels, states) or null: x after the last step
  T* borders = nullptr;     ///< (chunks, states, channels) or null: x before the first step of every chunk
};

/// Gradients. Those marked "added" must hold zeros (or an earlier part of the sum) before the call.
template <class T>
struct SelectiveScanGradients {
  const T* grad_out = nullptr;  ///< of gated when z is given, else of y
  int64_t grad_out_stride = 0;
  const T* z = nullptr;  ///< gate or null
  int64_t z_stride = 0;
  const T* borders = nullptr;  ///< as the forward pass wrote them
  T* u = nullptr;              ///< token p at u + p * u_stride
  int64_t u_stride = 0;
  bool u_accumulate = false;  ///< add to u (a u shared by directions) instead of overwriting it
  T* delta = nullptr;
  int64_t delta_stride = 0;
  T* A = nullptr;  ///< (channels, states), added
  T* B = nullptr;  ///< laid out as SelectiveScan::B with its own stride (0 again: constant), added
  int64_t B_stride = 0;
  T* C = nullptr;
  int64_t C_stride = 0;
  T* D = nullptr;           ///< (channels) or null, added
  T* delta_bias = nullptr;  ///< (channels) or null, added
};

/// Steps per chunk: the backward pass keeps the states of one chunk and recomputes them from the chunk's
/// border.
int64_t selective_scan_chunk(int64_t states);
/// Chunks in a walk of `length` steps.
int64_t selective_scan_chunks(int64_t length, int64_t states);

/// Floats of scratch, 64-byte aligned, that the fp32 kernels need for a call on `channels` channels, whatever
/// the target.
int64_t selective_scan_forward_scratch(int64_t channels, int64_t groups, int64_t states);
int64_t selective_scan_backward_scratch(int64_t channels, int64_t groups, int64_t states);

/// fp32 kernels, channels across SIMD lanes. Same bits for the same call and target.
void selective_scan_forward(const SelectiveScan<float>& scan, const SelectiveScanOutput<float>& output,
                            float* scratch, SimdTarget target = best_target());
void selective_scan_backward(const SelectiveScan<float>& scan, const SelectiveScanGradients<float>& gradients,
                             float* scratch, SimdTarget target = best_target());

/// The specification, in double, one channel after the other. Needs no borders (it ignores them when
/// reading).
int64_t selective_scan_ref_scratch(int64_t length, int64_t states);
void selective_scan_forward_ref(const SelectiveScan<double>& scan, const SelectiveScanOutput<double>& output,
                                double* scratch);
void selective_scan_backward_ref(const SelectiveScan<double>& scan,
                                 const SelectiveScanGradients<double>& gradients, double* scratch);

}  // namespace mambaseg
