#include "mambaseg/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/attention_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "mambaseg/kernels/simd_dispatch.h"
#include "mambaseg/kernels/transpose-inl.h"
#include "mambaseg/kernels/vector_math-inl.h"

#ifndef MAMBASEG_ATTENTION_SIZES
#define MAMBASEG_ATTENTION_SIZES
namespace mambaseg {
namespace {

constexpr int64_t kQueries = 16;  // whose scores are held at a time
constexpr float kOtherRegion = 100;

/// Rows of the copies that a head needs, in numbers: whole pairs of vectors of tokens. Scores lie a vector
/// further apart: else those of a power of two of tokens share few sets of the cache.
struct Padded {
  int64_t tokens, size, scores;
  Padded(int64_t tokens_of, int64_t size_of)
      : tokens(round_up(tokens_of, 2 * kMostLanes)),
        size(round_up(size_of, kMostLanes)),
        scores(tokens + kMostLanes) {}
};

}  // namespace
}  // namespace mambaseg
#endif

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

constexpr int kRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;  // of a product at once, by two vectors: registers
static_assert(kQueries % kRows == 0 && kMostLanes % kRows == 0);

/// Where the left factor of a product has number (row, k).
struct Left {
  const float* first;
  int64_t row_stride, k_stride;
};

/// Vectors of columns of the right factor: rows `stride` apart, pairs of vectors `pair_stride`.
struct Right {
  const float* first;
  int64_t stride, pair_stride;
};

template <int N>
HWY_INLINE void product_of_block(const float* left, const Left& of, const float* right, int64_t stride,
                                 int64_t depth, float* sums, int64_t sums_stride, bool adds) {
  const Lanes d;
  Vec s[kRows][N];
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int n = 0; n < N; ++n)
      s[r][n] = adds ? hn::LoadU(d, sums + r * sums_stride + n * kLanes) : hn::Zero(d);
  }
  for (int64_t k = 0; k < depth; ++k, left += of.k_stride, right += stride) {
    Vec b[N];
    HWY_UNROLL(2)
    for (int n = 0; n < N; ++n) b[n] = hn::LoadU(d, right + n * kLanes);
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) {
      const Vec a = hn::Set(d, left[r * of.row_stride]);
      HWY_UNROLL(2)
      for (int n = 0; n < N; ++n) s[r][n] = hn::MulAdd(a, b[n], s[r][n]);
    }
  }
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int n = 0; n < N; ++n) hn::StoreU(s[r][n], d, sums + r * sums_stride + n * kLanes);
  }
}

/// sums (rows, columns) = or += left (rows, depth) * right (depth, columns), for rows rounded up to whole
/// blocks and columns to whole vectors, all of which are there.
void product(const Left& left, const Right& right, int64_t rows, int64_t depth, int64_t columns, float* sums,
             int64_t sums_stride, bool adds = false) {
  for (int64_t c = 0; c < columns; c += 2 * kLanes) {
    const float* b = right.first + c / (2 * kLanes) * right.pair_stride;
    for (int64_t r = 0; r < rows; r += kRows) {
      const float* a = left.first + r * left.row_stride;
      float* to = sums + r * sums_stride + c;
      if (columns - c > kLanes)
        product_of_block<2>(a, left, b, right.stride, depth, to, sums_stride, adds);
      else
        product_of_block<1>(a, left, b, right.stride, depth, to, sums_stride, adds);
    }
  }
}

/// `rows` rows times `scale`, in fp32, `padded_size` apart; zeros in what fills the rows and `padded_rows`.
template <class T>
void copy_rows(typename AttentionHead<T>::Rows from, int64_t rows, int64_t size, float scale,
               int64_t padded_rows, int64_t padded_size, float* to) {
  const Lanes d;
  const Vec factor = hn::Set(d, scale);
  for (int64_t r = 0; r < rows; ++r, to += padded_size) {
    const T* row = from.first + r * from.stride;
    int64_t c = 0;
    for (; c < size; c += kLanes) hn::StoreU(hn::Mul(load(row + c, size - c), factor), d, to + c);
    for (; c < padded_size; c += kLanes) hn::StoreU(hn::Zero(d), d, to + c);
  }
  std::fill(to, to + (padded_rows - rows) * padded_size, 0.0f);
}

/// Rows (tokens, size) as columns for product(): pairs of vectors of tokens one after the other, in each the
/// numbers of a row below each other.
void columns_of(const float* from, const Padded& padded, int64_t size, float* to) {
  constexpr int64_t kPair = 2 * kLanes;
  for (int64_t first = 0; first < padded.tokens; first += kPair, to += size * kPair) {
    const int64_t tokens = std::min(kPair, padded.tokens - first);
    const float* rows = from + first * padded.size;
    transpose_block(rows, padded.size, tokens, size, to, kPair);
  }
}

Right transposed(const float* columns, int64_t size) { return {columns, 2 * kLanes, size * 2 * kLanes}; }
Right as_they_are(const float* rows, int64_t stride) { return {rows, stride, 2 * kLanes}; }

/// The first `count` bytes as numbers, zero in the other lanes.
HWY_INLINE Vec bytes(const uint8_t* from, int64_t count) {
  const Lanes d;
  const hn::Rebind<uint8_t, Lanes> d8;
  const hn::Rebind<int32_t, Lanes> di;
  const auto widened = [&](const uint8_t* at)
                           HWY_ATTR { return hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, at))); };
  if (HWY_LIKELY(count >= kLanes)) return widened(from);
  HWY_ALIGN uint8_t lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return widened(lanes);
}

/// Scores of the query `row` become exponentials, zero in the lanes behind the last; what they are to be
/// divided by returns. NaN unless all are finite.
template <class T>
float exponentials(const AttentionHead<T>& head, int64_t row, float* scores) {
  const Lanes d;
  const int64_t L = head.tokens;
  const float* pairs = head.pairs ? head.pairs + row * L : nullptr;
  const Vec own = hn::Set(d, head.regions ? head.regions[row] : 0), apart = hn::Set(d, kOtherRegion);
  const Vec lowest = hn::Set(d, std::numeric_limits<float>::lowest());
  Vec most = lowest, added = hn::Zero(d);
  for (int64_t j = 0; j < L; j += kLanes) {
    Vec s = hn::LoadU(d, scores + j);
    if (pairs) s = hn::Add(s, load(pairs + j, L - j));
    if (head.regions) s = hn::Sub(s, hn::IfThenZeroElse(hn::Eq(load(head.regions + j, L - j), own), apart));
    if (HWY_UNLIKELY(L - j < kLanes))
      s = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(L - j)), s, lowest);
    hn::StoreU(s, d, scores + j);
    most = hn::Max(most, s);
    added = hn::MulAdd(s, hn::Zero(d), added);
  }
  most = hn::MaxOfLanes(d, most);
  Vec total = added;
  for (int64_t j = 0; j < L; j += kLanes) {
    const Vec e = exp_of_negative(hn::Sub(hn::LoadU(d, scores + j), most));
    hn::StoreU(e, d, scores + j);
    total = hn::Add(total, e);
  }
  return hn::GetLane(hn::SumOfLanes(d, total));
}

/// What of the weights of the query `row` dropout leaves.
template <class T>
void drop(const AttentionHead<T>& head, int64_t row, float* weights) {
  const Lanes d;
  const uint8_t* kept = head.kept + row * head.tokens;
  const Vec scale = hn::Set(d, head.kept_scale);
  for (int64_t j = 0; j < head.tokens; j += kLanes) {
    const Vec w = hn::Mul(hn::LoadU(d, weights + j), scale);
    hn::StoreU(hn::Mul(w, bytes(kept + j, head.tokens - j)), d, weights + j);
  }
}

template <class T>
void forward(const AttentionHead<T>& head, int64_t begin, int64_t end, T* y, int64_t stride, float* scratch) {
  const Lanes d;
  const int64_t L = head.tokens, D = head.size;
  const Padded padded(L, D);
  float* values = scratch;
  float* keys = values + padded.tokens * padded.size;
  float* queries = keys + padded.tokens * padded.size;
  float* results = queries + kQueries * padded.size;
  float* scores = results + kQueries * padded.size;
  copy_rows<T>(head.k, L, D, 1, padded.tokens, padded.size, values);
  columns_of(values, padded, D, keys);
  copy_rows<T>(head.v, L, D, 1, padded.tokens, padded.size, values);
  const float scale = 1 / std::sqrt(static_cast<float>(D));
  for (int64_t first = begin; first < end; first += kQueries) {
    const int64_t rows = std::min(kQueries, end - first), whole = round_up(rows, kRows);
    copy_rows<T>({head.q.first + first * head.q.stride, head.q.stride}, rows, D, scale, whole, padded.size,
                 queries);
    product({queries, padded.size, 1}, transposed(keys, D), rows, D, L, scores, padded.scores);
    float totals[kQueries];
    for (int64_t r = 0; r < rows; ++r) {
      totals[r] = exponentials(head, first + r, scores + r * padded.scores);
      if (head.kept) drop(head, first + r, scores + r * padded.scores);
    }
    product({scores, padded.scores, 1}, as_they_are(values, padded.size), rows, L, D, results, padded.size);
    for (int64_t r = 0; r < rows; ++r) {
      const Vec share = hn::Set(d, 1 / totals[r]);
      T* to = y + (first + r) * stride;
      for (int64_t c = 0; c < D; c += kLanes)
        store(hn::Mul(hn::LoadU(d, results + r * padded.size + c), share), to + c, D - c);
    }
  }
}

/// From the exponentials of the query `row`, what they are divided by and the gradients of its weights: the
/// gradients of its scores, in place of those, and the weights that were applied.
template <class T>
void score_gradients(const AttentionHead<T>& head, int64_t row, float total, float* weights, float* gradients,
                     float* dpairs) {
  const Lanes d;
  const int64_t L = head.tokens;
  const Vec share = hn::Set(d, 1 / total);
  if (head.kept) drop(head, row, gradients);
  Vec mean = hn::Zero(d);
  for (int64_t j = 0; j < L; j += kLanes) {
    const Vec w = hn::Mul(hn::LoadU(d, weights + j), share);
    hn::StoreU(w, d, weights + j);
    mean = hn::MulAdd(w, hn::LoadU(d, gradients + j), mean);
  }
  mean = hn::SumOfLanes(d, mean);
  for (int64_t j = 0; j < L; j += kLanes) {
    const Vec g = hn::Mul(hn::LoadU(d, weights + j), hn::Sub(hn::LoadU(d, gradients + j), mean));
    hn::StoreU(g, d, gradients + j);
    if (dpairs) store(hn::Add(load(dpairs + row * L + j, L - j), g), dpairs + row * L + j, L - j);
  }
  if (head.kept) drop(head, row, weights);
}

template <class T>
void store_rows(const float* from, int64_t from_stride, int64_t rows, int64_t size, float scale, T* to,
                int64_t stride) {
  const Lanes d;
  const Vec factor = hn::Set(d, scale);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < size; c += kLanes)
      store(hn::Mul(hn::LoadU(d, from + r * from_stride + c), factor), to + r * stride + c, size - c);
}

template <class T>
void backward(const AttentionHead<T>& head, const AttentionGradient<T>& gradient, float* scratch) {
  const int64_t L = head.tokens, D = head.size;
  const Padded padded(L, D);
  const int64_t all = padded.tokens * padded.size, some = kQueries * padded.size;
  float* key_rows = scratch;
  float* keys = key_rows + all;
  float* values = keys + all;
  float* dkeys = values + all;
  float* dvalues = dkeys + all;
  float* queries = dvalues + all;
  float* dqueries = queries + some;
  float* dresults = dqueries + some;
  float* weights = dresults + some;
  float* gradients = weights + kQueries * padded.scores;
  copy_rows<T>(head.v, L, D, 1, padded.tokens, padded.size, key_rows);
  columns_of(key_rows, padded, D, values);
  copy_rows<T>(head.k, L, D, 1, padded.tokens, padded.size, key_rows);
  columns_of(key_rows, padded, D, keys);
  std::fill(dkeys, dkeys + 2 * all, 0.0f);
  const float scale = 1 / std::sqrt(static_cast<float>(D));
  for (int64_t first = 0; first < L; first += kQueries) {
    const int64_t rows = std::min(kQueries, L - first), whole = round_up(rows, kRows);
    copy_rows<T>({head.q.first + first * head.q.stride, head.q.stride}, rows, D, scale, whole, padded.size,
                 queries);
    copy_rows<T>({gradient.dy + first * gradient.stride, gradient.stride}, rows, D, 1, whole, padded.size,
                 dresults);
    product({queries, padded.size, 1}, transposed(keys, D), rows, D, L, weights, padded.scores);
    product({dresults, padded.size, 1}, transposed(values, D), rows, D, L, gradients, padded.scores);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = r * padded.scores;
      const float total = exponentials(head, first + r, weights + at);
      score_gradients(head, first + r, total, weights + at, gradients + at, gradient.dpairs);
    }
    product({weights, 1, padded.scores}, as_they_are(dresults, padded.size), L, rows, D, dvalues, padded.size,
            /*adds=*/true);
    product({gradients, 1, padded.scores}, as_they_are(queries, padded.size), L, rows, D, dkeys, padded.size,
            /*adds=*/true);
    product({gradients, padded.scores, 1}, as_they_are(key_rows, padded.size), rows, L, D, dqueries,
            padded.size);
    store_rows(dqueries, padded.size, rows, D, scale, gradient.dq + first * gradient.stride, gradient.stride);
  }
  store_rows(dkeys, padded.size, L, D, 1, gradient.dk, gradient.stride);
  store_rows(dvalues, padded.size, L, D, 1, gradient.dv, gradient.stride);
}

// What Highway exports must have one name for one function.
void forward_fp32(const AttentionHead<float>& head, int64_t begin, int64_t end, float* y, int64_t stride,
                  float* scratch) {
  forward(head, begin, end, y, stride, scratch);
}
void forward_bf16(const AttentionHead<Bfloat16>& head, int64_t begin, int64_t end, Bfloat16* y,
                  int64_t stride, float* scratch) {
  forward(head, begin, end, y, stride, scratch);
}
void backward_fp32(const AttentionHead<float>& head, const AttentionGradient<float>& gradient,
                   float* scratch) {
  backward(head, gradient, scratch);
}
void backward_bf16(const AttentionHead<Bfloat16>& head, const AttentionGradient<Bfloat16>& gradient,
                   float* scratch) {
  backward(head, gradient, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(forward_fp32);
HWY_EXPORT(forward_bf16);
HWY_EXPORT(backward_fp32);
HWY_EXPORT(backward_bf16);

int64_t attention_scratch(int64_t tokens, int64_t size) {
  const Padded padded(tokens, size);
  return 2 * padded.tokens * padded.size + kQueries * (2 * padded.size + padded.scores);
}

void attention_forward(const AttentionHead<float>& head, int64_t begin, int64_t end, float* y, int64_t stride,
                       float* scratch, SimdTarget target) {
  HWY_DISPATCH_TABLE(forward_fp32)[table_index(target)](head, begin, end, y, stride, scratch);
}
void attention_forward(const AttentionHead<Bfloat16>& head, int64_t begin, int64_t end, Bfloat16* y,
                       int64_t stride, float* scratch, SimdTarget target) {
  HWY_DISPATCH_TABLE(forward_bf16)[table_index(target)](head, begin, end, y, stride, scratch);
}

int64_t attention_backward_scratch(int64_t tokens, int64_t size) {
  const Padded padded(tokens, size);
  return 5 * padded.tokens * padded.size + kQueries * (3 * padded.size + 2 * padded.scores);
}

void attention_backward(const AttentionHead<float>& head, const AttentionGradient<float>& gradient,
                        float* scratch, SimdTarget target) {
  HWY_DISPATCH_TABLE(backward_fp32)[table_index(target)](head, gradient, scratch);
}
void attention_backward(const AttentionHead<Bfloat16>& head, const AttentionGradient<Bfloat16>& gradient,
                        float* scratch, SimdTarget target) {
  HWY_DISPATCH_TABLE(backward_bf16)[table_index(target)](head, gradient, scratch);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
