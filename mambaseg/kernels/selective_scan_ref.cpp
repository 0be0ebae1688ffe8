// The specification of the selective scan: double precision, one channel at a time, nothing clever.

#include <cmath>

#include "mambaseg/kernels/selective_scan.h"

namespace mambaseg {
namespace {

using Scan = SelectiveScan<double>;

int64_t token(const Scan& s, int64_t t) {
  const int64_t step = s.backwards ? s.length - 1 - t : t;
  return s.order ? s.order[step] : step;
}

/// The row of B (or C, or a gradient of them) that channel c meets at token p: `states` numbers.
template <class T>
T* row(T* base, int64_t stride, const Scan& s, int64_t p, int64_t c) {
  if (stride == 0) return base + c * s.states;
  return base + p * stride + c / (s.channels / s.groups) * s.states;
}

double sigmoid(double v) { return 1 / (1 + std::exp(-v)); }
double silu(double v) { return v * sigmoid(v); }

double before_softplus(const Scan& s, int64_t p, int64_t c) {
  return s.delta[p * s.delta_stride + c] + (s.delta_bias ? s.delta_bias[c] : 0);
}
double step_size(const Scan& s, double v) {
  return s.delta_softplus && v <= 20 ? std::log1p(std::exp(v)) : v;
}
double step_size_slope(const Scan& s, double v) { return s.delta_softplus && v <= 20 ? sigmoid(v) : 1; }

/// x <- exp(dt A) x + dt B u for one channel.
void advance(const Scan& s, int64_t p, int64_t c, double* x) {
  const double dt = step_size(s, before_softplus(s, p, c));
  const double u = s.u[p * s.u_stride + c];
  const double* B = row(s.B, s.B_stride, s, p, c);
  for (int64_t n = 0; n < s.states; ++n) x[n] = std::exp(dt * s.A[c * s.states + n]) * x[n] + dt * B[n] * u;
}

}  // namespace

int64_t selective_scan_ref_scratch(int64_t length, int64_t states) { return (length + 2) * states; }

void selective_scan_forward_ref(const Scan& s, const SelectiveScanOutput<double>& out, double* scratch) {
  const int64_t chunk = selective_scan_chunk(s.states);
  for (int64_t c = s.channel_begin; c < s.channel_end; ++c) {
    double* x = scratch;
    double step_sum = 0;
    for (int64_t n = 0; n < s.states; ++n) x[n] = out.first_state ? out.first_state[c * s.states + n] : 0;
    for (int64_t t = s.step_begin; t < s.step_end; ++t) {
      if (out.borders && t % chunk == 0) {
        for (int64_t n = 0; n < s.states; ++n)
          out.borders[(t / chunk * s.states + n) * s.channels + c] = x[n];
      }
      const int64_t p = token(s, t);
      advance(s, p, c, x);
      step_sum += step_size(s, before_softplus(s, p, c));
      if (!out.y) continue;
      const double* C = row(s.C, s.C_stride, s, p, c);
      double sum = s.D ? s.D[c] * s.u[p * s.u_stride + c] : 0;
      for (int64_t n = 0; n < s.states; ++n) sum += C[n] * x[n];
      double& y = out.y[p * out.y_stride + c];
      y = out.accumulate ? y + sum : sum;
      if (out.z) out.gated[p * out.gated_stride + c] = y * silu(out.z[p * out.z_stride + c]);
    }
    if (out.step_sums) out.step_sums[c] = step_sum;
    if (out.last_state) {
      for (int64_t n = 0; n < s.states; ++n) out.last_state[c * s.states + n] = x[n];
    }
  }
}

void selective_scan_backward_ref(const Scan& s, const SelectiveScanGradients<double>& g, double* scratch) {
  const int64_t N = s.states;
  for (int64_t c = s.channel_begin; c < s.channel_end; ++c) {
    double* x = scratch;                            // x[t]: the state before step t
    double* grad_x = scratch + (s.length + 1) * N;  // of the state after the step at hand
    for (int64_t n = 0; n < N; ++n) {
      x[n] = 0;
      grad_x[n] = g.last_state ? g.last_state[c * N + n] : 0;
    }
    for (int64_t t = 0; t < s.step_end; ++t) {
      for (int64_t n = 0; n < N; ++n) x[(t + 1) * N + n] = x[t * N + n];
      advance(s, token(s, t), c, x + (t + 1) * N);
    }
    double step_sum = 0;
    for (int64_t t = s.step_end - 1; t >= s.step_begin; --t) {
      const int64_t p = token(s, t);
      const double v = before_softplus(s, p, c);
      const double dt = step_size(s, v);
      const double u = s.u[p * s.u_stride + c];
      const double* B = row(s.B, s.B_stride, s, p, c);
      const double* C = row(s.C, s.C_stride, s, p, c);
      double grad_y = g.grad_out[p * g.grad_out_stride + c];
      if (g.z) grad_y *= silu(g.z[p * g.z_stride + c]);
      if (!g.u) {
        step_sum += dt;
        for (int64_t n = 0; n < N; ++n)
          grad_x[n] = std::exp(dt * s.A[c * N + n]) * (grad_x[n] + grad_y * C[n]);
        continue;
      }

      double* grad_B = row(g.B, g.B_stride, s, p, c);
      double* grad_C = row(g.C, g.C_stride, s, p, c);
      double grad_u = s.D ? grad_y * s.D[c] : 0;
      double grad_dt = 0;
      for (int64_t n = 0; n < N; ++n) {
        const double a = s.A[c * N + n];
        const double decay = std::exp(dt * a);
        const double before = x[t * N + n];
        grad_x[n] += grad_y * C[n];
        grad_C[n] += grad_y * x[(t + 1) * N + n];
        grad_B[n] += grad_x[n] * dt * u;
        grad_u += grad_x[n] * dt * B[n];
        grad_dt += grad_x[n] * (decay * before * a + B[n] * u);
        g.A[c * N + n] += grad_x[n] * decay * before * dt;
        grad_x[n] *= decay;
      }
      const double grad_v = grad_dt * step_size_slope(s, v);
      g.delta[p * g.delta_stride + c] = grad_v;
      if (g.delta_bias) g.delta_bias[c] += grad_v;
      if (g.D) g.D[c] += grad_y * u;
      double& total = g.u[p * g.u_stride + c];
      total = g.u_accumulate ? total + grad_u : grad_u;
    }
    if (g.step_sums && !g.u) g.step_sums[c] = step_sum;
    if (g.first_state) {
      for (int64_t n = 0; n < N; ++n) g.first_state[c * N + n] = grad_x[n];
    }
  }
}

}  // namespace mambaseg
