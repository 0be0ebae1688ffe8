#pragma once

#include <array>
#include <vector>

#include "mambaseg/data/lines.h"
#include "mambaseg/data/resize.h"

namespace mambaseg {

/// What the values of lines side by side lie between.
struct Range {
  std::array<float, kLinesAtOnce> low, high;
};

/// Lines along one axis brought from `from` to `to` voxels as `resized` does. One for each thread.
class LineResampler {
 public:
  LineResampler(int64_t from, int64_t to, int order);

  /// Line c of `in` within low[c] to high[c] of `range`.
  void operator()(const Lines<const float>& in, const Lines<float>& out, const Range& range);

 private:
  int64_t from_, to_, pad_;
  AxisTaps taps_;
  std::vector<double> lines_;
  std::vector<float> rows_;
};

}  // namespace mambaseg
