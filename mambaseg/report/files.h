#pragma once

#include <string>

#include "mambaseg/report/evaluation.h"

namespace mambaseg {

/// cases.csv: a line for each case and label with presence, counts and every metric; undefined values are
/// empty cells.
std::string cases_csv(const Evaluation& evaluation);

/// Volumes of the prediction of one case in the form of FreeSurfer's aseg.stats.
std::string aseg_stats(const Evaluation& evaluation, const CaseScores& one);

/// A number with at most `digits` significant digits, without trailing zeros; "" when it is not finite.
std::string short_number(double value, int digits = 6);

}  // namespace mambaseg
