#pragma once

#include <algorithm>
#include <cstdint>

#include "mambaseg/kernels/line_resampling.h"

namespace mambaseg {

/// At most kLinesAtOnce lines of a volume: value i of line c lies at first[i * along + c * beside].
template <class T>
struct Lines {
  T* first;
  int64_t along, beside, count;
};

/// The first n values of the lines, side by side; 0 in place of lines that are not there.
template <class T>
void gather(const Lines<const T>& from, int64_t n, double* out) {
  if (from.beside == 1 && from.count == kLinesAtOnce) {
    for (int64_t i = 0; i < n; ++i)
#pragma omp simd
      for (int64_t c = 0; c < kLinesAtOnce; ++c) out[i * kLinesAtOnce + c] = from.first[i * from.along + c];
    return;
  }
  if (from.count < kLinesAtOnce) std::fill_n(out, n * kLinesAtOnce, 0);
  for (int64_t c = 0; c < from.count; ++c)
    for (int64_t i = 0; i < n; ++i) out[i * kLinesAtOnce + c] = from.first[i * from.along + c * from.beside];
}

/// The inverse.
template <class From, class T>
void scatter(const From* from, int64_t n, const Lines<T>& to) {
  for (int64_t c = 0; c < to.count; ++c)
    for (int64_t i = 0; i < n; ++i)
      to.first[i * to.along + c * to.beside] = static_cast<T>(from[i * kLinesAtOnce + c]);
}

}  // namespace mambaseg
