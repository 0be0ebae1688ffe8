#pragma once

#include <cstdint>

#include "mambaseg/kernels/bfloat16.h"
#include "mambaseg/kernels/target.h"

/// Softmax attention (Vaswani et al. 2017) of one head of one item, some queries at a time, so that their
/// scores stay in the caches. Sums, scores and weights are fp32.
namespace mambaseg {

/// `tokens` rows of `size` numbers in each of q, k and v; rows lie `stride` numbers apart. Weights are
/// softmax(q k^T / sqrt(size) + pairs - 100 where regions differ), then `kept * kept_scale` of them.
template <class T>
struct AttentionHead {
  struct Rows {
    const T* first;
    int64_t stride;
  };
  int64_t tokens, size;
  Rows q, k, v;
  const float* pairs = nullptr;    ///< (tokens, tokens), of each query and key; null: nothing is added
  const float* regions = nullptr;  ///< (tokens), whole numbers; null: one region
  const uint8_t* kept = nullptr;   ///< (tokens, tokens), 1 or 0; null: all
  float kept_scale = 1;
};

/// y = weights * v of the queries [begin, end); rows of y lie `stride` numbers apart. `scratch` holds
/// attention_scratch floats. A row with a score that is not finite becomes NaN.
int64_t attention_scratch(int64_t tokens, int64_t size);
void attention_forward(const AttentionHead<float>& head, int64_t begin, int64_t end, float* y, int64_t stride,
                       float* scratch, SimdTarget target = best_target());
void attention_forward(const AttentionHead<Bfloat16>& head, int64_t begin, int64_t end, Bfloat16* y,
                       int64_t stride, float* scratch, SimdTarget target = best_target());

/// Gradients of q, k and v with dy and all of them of rows `stride` numbers apart; what each score gets is
/// added to `dpairs` (tokens, tokens) unless that is null.
template <class T>
struct AttentionGradient {
  const T* dy;
  T *dq, *dk, *dv;
  int64_t stride;
  float* dpairs = nullptr;
};
int64_t attention_backward_scratch(int64_t tokens, int64_t size);
void attention_backward(const AttentionHead<float>& head, const AttentionGradient<float>& gradient,
                        float* scratch, SimdTarget target = best_target());
void attention_backward(const AttentionHead<Bfloat16>& head, const AttentionGradient<Bfloat16>& gradient,
                        float* scratch, SimdTarget target = best_target());

}  // namespace mambaseg
