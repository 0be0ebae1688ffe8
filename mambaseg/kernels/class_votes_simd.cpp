#include "mambaseg/kernels/class_votes.h"

#include <algorithm>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "mambaseg/kernels/class_votes_simd.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "mambaseg/kernels/simd_dispatch.h"
#include "mambaseg/kernels/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mambaseg {
namespace HWY_NAMESPACE {

/// The first `count` lanes, `rest` in the others.
HWY_INLINE Vec load_or(const float* from, int64_t count, Vec rest) {
  if (HWY_LIKELY(count >= kLanes)) return load(from, count);
  return hn::IfThenElse(hn::FirstN(Lanes(), static_cast<size_t>(count)), load(from, count), rest);
}

template <class T>
void softmax_rows(const float* scores, int64_t rows, int64_t classes, const float* weights, T* sums,
                  float* scratch) {
  const Lanes d;
  const Vec lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t r = 0; r < rows; ++r, scores += classes, sums += classes) {
    Vec most = load_or(scores, classes, lowest);
    for (int64_t c = kLanes; c < classes; c += kLanes)
      most = hn::Max(most, load_or(scores + c, classes - c, lowest));
    most = hn::MaxOfLanes(d, most);
    Vec total = hn::Zero(d);
    for (int64_t c = 0; c < classes; c += kLanes) {
      const Vec e = exp_of_negative(hn::Sub(load_or(scores + c, classes - c, lowest), most));
      store(e, scratch + c, classes - c);
      total = hn::Add(total, e);
    }
    const Vec factor = hn::Set(d, weights[r] / hn::GetLane(hn::SumOfLanes(d, total)));
    for (int64_t c = 0; c < classes; c += kLanes) {
      const int64_t count = classes - c;
      store(hn::MulAdd(load(scratch + c, count), factor, load(sums + c, count)), sums + c, count);
    }
  }
}

template <class T>
void weighted_rows(const float* votes, int64_t rows, int64_t classes, const float* weights, T* sums) {
  const Lanes d;
  for (int64_t r = 0; r < rows; ++r, votes += classes, sums += classes) {
    const Vec weight = hn::Set(d, weights[r]);
    for (int64_t c = 0; c < classes; c += kLanes) {
      const int64_t count = classes - c;
      store(hn::MulAdd(load(votes + c, count), weight, load(sums + c, count)), sums + c, count);
    }
  }
}

template <class T>
void normalised_rows(const T* sums, int64_t rows, int64_t classes, int64_t stride, VoteTotal of, float* p) {
  const Lanes d;
  const int64_t padded = round_up(classes, kMostLanes);
  for (int64_t r = 0; r < rows; ++r, sums += stride, p += padded) {
    Vec added = hn::Zero(d);
    int64_t c = 0;
    for (; c < classes; c += kLanes) {
      const Vec v = load(sums + c, classes - c);
      hn::StoreU(v, d, p + c);
      added = hn::Add(added, v);
    }
    const float total = of == VoteTotal::first ? p[0] : hn::GetLane(hn::SumOfLanes(d, added));
    const Vec divisor = hn::Set(d, std::max(total, 1e-30f));
    for (int64_t done = 0; done < c; done += kLanes)
      hn::StoreU(hn::Div(hn::LoadU(d, p + done), divisor), d, p + done);
    for (; c < padded; c += kLanes) hn::StoreU(hn::Zero(d), d, p + c);
  }
}

void blended(const float* a, const float* b, float share, int64_t count, float* out) {
  const Lanes d;
  const Vec part = hn::Set(d, share);
  for (int64_t i = 0; i < count; i += kLanes) {
    const Vec from = hn::LoadU(d, a + i);
    hn::StoreU(hn::MulAdd(part, hn::Sub(hn::LoadU(d, b + i), from), from), d, out + i);
  }
}

/// The first class whose votes are the largest.
template <class T>
int64_t largest(const T* votes, int64_t classes) {
  const Lanes d;
  const Vec lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  const auto at = [&](int64_t c) HWY_ATTR {
    const int64_t count = classes - c;
    const Vec v = load(votes + c, count);
    return count >= kLanes ? v : hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(count)), v, lowest);
  };
  Vec most = at(0);
  for (int64_t c = kLanes; c < classes; c += kLanes) most = hn::Max(most, at(c));
  most = hn::MaxOfLanes(d, most);
  for (int64_t c = 0; c < classes; c += kLanes)
    if (const auto lane = hn::FindFirstTrue(d, hn::Eq(at(c), most)); lane >= 0) return c + lane;
  return 0;  // no numbers
}

template <class T>
int64_t last_above_half(const T* votes, int64_t classes) {
  const float half = 0.5f * to_float(votes[0]);
  int64_t c = classes - 1;
  while (c > 0 && !(to_float(votes[c]) > half)) --c;
  return c;
}

template <class T>
void winners(const T* votes, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
             uint8_t* winner) {
  for (int64_t r = 0; r < rows; ++r, votes += stride)
    winner[r] = static_cast<uint8_t>(total == VoteTotal::sum ? largest(votes, classes)
                                                             : last_above_half(votes, classes));
}

// What Highway exports must have one name for one function.
void softmax_fp32(const float* scores, int64_t rows, int64_t classes, const float* weights, float* sums,
                  float* scratch) {
  softmax_rows(scores, rows, classes, weights, sums, scratch);
}
void softmax_fp16(const float* scores, int64_t rows, int64_t classes, const float* weights, Float16* sums,
                  float* scratch) {
  softmax_rows(scores, rows, classes, weights, sums, scratch);
}
void weighted_fp32(const float* votes, int64_t rows, int64_t classes, const float* weights, float* sums) {
  weighted_rows(votes, rows, classes, weights, sums);
}
void weighted_fp16(const float* votes, int64_t rows, int64_t classes, const float* weights, Float16* sums) {
  weighted_rows(votes, rows, classes, weights, sums);
}
void normalised_fp32(const float* sums, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                     float* p) {
  normalised_rows(sums, rows, classes, stride, total, p);
}
void normalised_fp16(const Float16* sums, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                     float* p) {
  normalised_rows(sums, rows, classes, stride, total, p);
}
void winners_fp32(const float* votes, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                  uint8_t* winner) {
  winners(votes, rows, classes, stride, total, winner);
}
void winners_fp16(const Float16* votes, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                  uint8_t* winner) {
  winners(votes, rows, classes, stride, total, winner);
}

}  // namespace HWY_NAMESPACE
}  // namespace mambaseg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mambaseg {

HWY_EXPORT(softmax_fp32);
HWY_EXPORT(softmax_fp16);
HWY_EXPORT(weighted_fp32);
HWY_EXPORT(weighted_fp16);
HWY_EXPORT(normalised_fp32);
HWY_EXPORT(normalised_fp16);
HWY_EXPORT(blended);
HWY_EXPORT(winners_fp32);
HWY_EXPORT(winners_fp16);

void add_softmax(const float* scores, int64_t rows, int64_t classes, const float* weights, float* sums,
                 float* scratch, SimdTarget target) {
  HWY_DISPATCH_TABLE(softmax_fp32)
  [table_index(target)](scores, rows, classes, weights, sums, scratch);
}
void add_softmax(const float* scores, int64_t rows, int64_t classes, const float* weights, Float16* sums,
                 float* scratch, SimdTarget target) {
  HWY_DISPATCH_TABLE(softmax_fp16)
  [table_index(target)](scores, rows, classes, weights, sums, scratch);
}

void add_weighted(const float* votes, int64_t rows, int64_t classes, const float* weights, float* sums,
                  SimdTarget target) {
  HWY_DISPATCH_TABLE(weighted_fp32)[table_index(target)](votes, rows, classes, weights, sums);
}
void add_weighted(const float* votes, int64_t rows, int64_t classes, const float* weights, Float16* sums,
                  SimdTarget target) {
  HWY_DISPATCH_TABLE(weighted_fp16)[table_index(target)](votes, rows, classes, weights, sums);
}

int64_t padded_classes(int64_t classes) { return round_up(classes, kMostLanes); }

void normalise_votes(const float* sums, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                     float* p, SimdTarget target) {
  HWY_DISPATCH_TABLE(normalised_fp32)[table_index(target)](sums, rows, classes, stride, total, p);
}
void normalise_votes(const Float16* sums, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                     float* p, SimdTarget target) {
  HWY_DISPATCH_TABLE(normalised_fp16)[table_index(target)](sums, rows, classes, stride, total, p);
}

void blend_votes(const float* a, const float* b, float share, int64_t count, float* out, SimdTarget target) {
  HWY_DISPATCH_TABLE(blended)[table_index(target)](a, b, share, count, out);
}

void winning_class(const float* votes, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                   uint8_t* winner, SimdTarget target) {
  HWY_DISPATCH_TABLE(winners_fp32)[table_index(target)](votes, rows, classes, stride, total, winner);
}
void winning_class(const Float16* votes, int64_t rows, int64_t classes, int64_t stride, VoteTotal total,
                   uint8_t* winner, SimdTarget target) {
  HWY_DISPATCH_TABLE(winners_fp16)[table_index(target)](votes, rows, classes, stride, total, winner);
}

}  // namespace mambaseg
#endif  // HWY_ONCE
