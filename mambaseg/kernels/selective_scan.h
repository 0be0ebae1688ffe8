#pragma once

#include <cstdint>

#include "mambaseg/kernels/bfloat16.h"
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
/// channels. It follows the steps [step_begin, step_end); how threads split those is told at
/// SelectiveScanOutput::first_state. Input, the type of what comes per token, is T or Bfloat16.
template <class T, class Input = T>
struct SelectiveScan {
  int64_t length = 0;    ///< tokens
  int64_t channels = 0;  ///< a multiple of groups
  int64_t states = 0;    ///< N
  int64_t groups = 1;
  int64_t channel_begin = 0;
  int64_t channel_end = 0;
  int64_t step_begin = 0;  ///< a multiple of the chunk
  int64_t step_end = 0;
  const Input* u = nullptr;  ///< token p at u + p * u_stride, channels contiguous
  int64_t u_stride = 0;
  const Input* delta = nullptr;
  int64_t delta_stride = 0;
  const T* A = nullptr;  ///< (channels, states)
  /// Token p at B + p * B_stride: (groups, states). Stride 0: (channels, states), the same for every token.
  const Input* B = nullptr;
  int64_t B_stride = 0;
  const Input* C = nullptr;  ///< as B
  int64_t C_stride = 0;
  const T* D = nullptr;           ///< (channels) or null
  const T* delta_bias = nullptr;  ///< (channels) or null
  bool delta_softplus = true;
  const int32_t* order = nullptr;  ///< (length), or null: p = t
  bool backwards = false;          ///< step t visits the token of step length - 1 - t
};

/// What the forward pass writes.
///
/// A walk cut into pieces is followed piece by piece side by side: first the states alone (y null), every
/// piece from zero; the state that piece i + 1 starts with is then exp(A * step_sums of piece i) times the
/// state that piece i starts with, plus the last_state of piece i; then all pieces again, from those.
template <class T, class Input = T>
struct SelectiveScanOutput {
  const T* first_state = nullptr;  ///< (channels, states) or null: x before the first step; null: zeros
  T* y = nullptr;                  ///< token p at y + p * y_stride; null: only the states are followed
  int64_t y_stride = 0;
  bool accumulate = false;  ///< add to y (a sum over directions) instead of overwriting it
  /// Gate or null: gated[p,c] = y[p,c] * silu(z[p,c]), taken from y after this call's part.
  const Input* z = nullptr;
  int64_t z_stride = 0;
  T* gated = nullptr;  ///< may be y
  int64_t gated_stride = 0;
  T* last_state = nullptr;  ///< (channels, states) or null: x after the last step
  T* borders = nullptr;     ///< (chunks, states, channels) or null: x before the first step of every chunk
  T* step_sums = nullptr;   ///< (channels) or null: the sum of dt over the steps
};

/// Gradients. Those marked "added" must hold zeros (or an earlier part of the sum) before the call.
/// Pieces of a walk are joined as in the forward pass, from the end: the gradient behind piece i is exp(A *
/// step_sums of piece i + 1) times that behind piece i + 1, plus the first_state of piece i + 1.
template <class T, class Input = T>
struct SelectiveScanGradients {
  const T* grad_out = nullptr;  ///< of gated when z is given, else of y
  int64_t grad_out_stride = 0;
  const Input* z = nullptr;  ///< gate or null
  int64_t z_stride = 0;
  const T* last_state = nullptr;  ///< (channels, states) or null: of x behind the last step; null: zeros
  T* first_state = nullptr;       ///< (channels, states) or null: receives that of x before the first step
  T* step_sums = nullptr;         ///< with u null, (channels) or null: receives the sum of dt over the steps
  const T* borders = nullptr;     ///< as the forward pass wrote them
  T* u = nullptr;  ///< token p at u + p * u_stride; null: only the gradient of the state is followed
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

/// fp32 kernels, channels across SIMD lanes; Input is float or Bfloat16. Same bits for the same call and
/// target.
template <class Input>
void selective_scan_forward(const SelectiveScan<float, Input>& scan,
                            const SelectiveScanOutput<float, Input>& output, float* scratch,
                            SimdTarget target = best_target());
template <>
void selective_scan_forward(const SelectiveScan<float>& scan, const SelectiveScanOutput<float>& output,
                            float* scratch, SimdTarget target);
template <>
void selective_scan_forward(const SelectiveScan<float, Bfloat16>& scan,
                            const SelectiveScanOutput<float, Bfloat16>& output, float* scratch,
                            SimdTarget target);
template <class Input>
void selective_scan_backward(const SelectiveScan<float, Input>& scan,
                             const SelectiveScanGradients<float, Input>& gradients, float* scratch,
                             SimdTarget target = best_target());
template <>
void selective_scan_backward(const SelectiveScan<float>& scan, const SelectiveScanGradients<float>& gradients,
                             float* scratch, SimdTarget target);
template <>
void selective_scan_backward(const SelectiveScan<float, Bfloat16>& scan,
                             const SelectiveScanGradients<float, Bfloat16>& gradients, float* scratch,
                             SimdTarget target);

/// The specification, in double, one channel after the other. Needs no borders (it ignores them when
/// reading).
int64_t selective_scan_ref_scratch(int64_t length, int64_t states);
void selective_scan_forward_ref(const SelectiveScan<double>& scan, const SelectiveScanOutput<double>& output,
                                double* scratch);
void selective_scan_backward_ref(const SelectiveScan<double>& scan,
                                 const SelectiveScanGradients<double>& gradients, double* scratch);

}  // namespace mambaseg
