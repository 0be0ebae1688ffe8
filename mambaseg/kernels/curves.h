#pragma once

#include <cstdint>

#include "mambaseg/kernels/bfloat16.h"
#include "mambaseg/kernels/target.h"

/// Activations that take an exponential, alone or as a gate, and their gradients: one pass each, computed in
/// fp32, bf16 rounded to nearest even.
namespace mambaseg {

enum class Curve { gelu, silu, sigmoid };  ///< gelu: the exact one, x times the normal distribution

/// `rows` rows of `channels` numbers of x, `stride` numbers apart; all else is contiguous.
struct CurveRows {
  int64_t rows, channels, stride;
};

/// y = factor * curve(x). `factor` may be null and is 1 then; y may be x or factor.
void curve_values(Curve curve, const CurveRows& rows, const float* x, const float* factor, float* y,
                  SimdTarget target = best_target());
void curve_values(Curve curve, const CurveRows& rows, const Bfloat16* x, const Bfloat16* factor, Bfloat16* y,
                  SimdTarget target = best_target());
void curve_values(Curve curve, const CurveRows& rows, const Bfloat16* x, const float* factor, float* y,
                  SimdTarget target = best_target());

/// Gradients of curve_values: dx = dy * factor * curve'(x), dfactor = dy * curve(x), which may be null. dx or
/// dfactor may be dy.
void curve_gradient(Curve curve, const CurveRows& rows, const float* x, const float* factor, const float* dy,
                    float* dx, float* dfactor, SimdTarget target = best_target());
void curve_gradient(Curve curve, const CurveRows& rows, const Bfloat16* x, const Bfloat16* factor,
                    const Bfloat16* dy, Bfloat16* dx, Bfloat16* dfactor, SimdTarget target = best_target());
void curve_gradient(Curve curve, const CurveRows& rows, const Bfloat16* x, const float* factor,
                    const float* dy, Bfloat16* dx, float* dfactor, SimdTarget target = best_target());

}  // namespace mambaseg
