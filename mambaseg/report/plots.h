#pragma once

#include <string>
#include <vector>

#include "mambaseg/stats/bland_altman.h"

namespace mambaseg {

/// One line of a box plot. `tone` 0 to 3 picks the colour.
struct BoxLine {
  std::string name;
  std::vector<double> values;
  int tone = 0;
};

/// Box plots under each other on one axis, as HTML: box from the first to the third quartile with the median,
/// whiskers to the last values within 1.5 box widths (Tukey), every value as a tick, those beyond the
/// whiskers in red; the median as a number behind. Lines without values say so. The axis runs from 0 to 1
/// when `unit_range`, else from 0 to the largest value.
std::string box_plots(const std::vector<BoxLine>& lines, bool unit_range, const std::string& unit);

/// Bland-Altman plot as an HTML figure: difference over mean, with bias and limits of agreement. Needs two
/// pairs.
std::string bland_altman_plot(const std::string& title, const std::vector<double>& a,
                              const std::vector<double>& b, const BlandAltman& result,
                              const std::string& unit);

/// Round numbers that cut low..high into about `count` pieces, low and high included only when round.
std::vector<double> axis_ticks(double low, double high, int count);

}  // namespace mambaseg
