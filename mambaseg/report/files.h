#pragma once

#include <string>
#include <vector>

#include "mambaseg/report/evaluation.h"

namespace mambaseg {

/// cases.csv: a line for each case and label with presence, counts and every metric; undefined values are
/// empty cells.
std::string cases_csv(const Evaluation& evaluation);

/// A line of aseg.stats.
struct StructureVolume {
  int64_t id = 0;
  std::string name;
  int64_t voxels = 0;
};

/// Volumes in the form of FreeSurfer's aseg.stats. `path` of the labels.
std::string aseg_stats(const std::string& subject, const std::string& path, double voxel_volume_mm3,
                       const std::vector<StructureVolume>& structures);
/// Those of the prediction of one case.
std::string aseg_stats(const Evaluation& evaluation, const CaseScores& one);

/// A number with at most `digits` significant digits, without trailing zeros; "" when it is not finite.
std::string short_number(double value, int digits = 6);

}  // namespace mambaseg
