#include "mambaseg/data/line_resampler.h"

#include <algorithm>

namespace mambaseg {
namespace {

constexpr int64_t kSplinePad = 12;  // repeated edge voxels before the spline filter, as SciPy's zoom has

}  // namespace

LineResampler::LineResampler(int64_t from, int64_t to, int order)
    : from_(from),
      to_(to),
      pad_(order == 3 ? kSplinePad : 0),
      taps_(axis_taps(from, to, order)),
      lines_(static_cast<size_t>((from + 2 * pad_) * kLinesAtOnce)),
      rows_(static_cast<size_t>(to * kLinesAtOnce)) {}

void LineResampler::operator()(const Lines<const float>& in, const Lines<float>& out, const Range& range) {
  double* const first = lines_.data() + pad_ * kLinesAtOnce;
  double* const last = first + (from_ - 1) * kLinesAtOnce;
  gather(in, from_, first);
  const bool direct = out.beside == 1 && out.count == kLinesAtOnce;
  float* const rows = direct ? out.first : rows_.data();
  const int64_t step = direct ? out.along : kLinesAtOnce;
  if (std::all_of(first, last + kLinesAtOnce, [](double v) { return v == 0; })) {
    for (int64_t i = 0; i < to_; ++i)
      for (int64_t c = 0; c < kLinesAtOnce; ++c) rows[i * step + c] = 0;
  } else {
    for (int64_t i = 0; i < pad_; ++i) {
      std::copy_n(first, kLinesAtOnce, lines_.data() + i * kLinesAtOnce);
      std::copy_n(last, kLinesAtOnce, last + (i + 1) * kLinesAtOnce);
    }
    if (pad_ > 0) spline_coefficients(lines_.data(), from_ + 2 * pad_);
    weighted_lines(first, taps_.all.data(), static_cast<int64_t>(taps_.each), to_, range.low.data(),
                   range.high.data(), rows, step);
  }
  if (!direct) scatter(rows_.data(), to_, out);
}

}  // namespace mambaseg
