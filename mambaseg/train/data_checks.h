#pragma once

#include <string>
#include <vector>

#include "mambaseg/core/progress.h"
#include "mambaseg/data/case_cache.h"

namespace mambaseg {

/// What is known of the cases of a run before it trains.
struct RunCases {
  std::vector<std::string> structures;  ///< names of what is learned
  std::vector<double> training_voxels;  ///< of background and of each structure, in all training cases
  bool validation_holds_any = true;     ///< any structure occurs in a validation case, or none validates
  std::vector<CaseNotes> training, validation;
};

/// Throws Error when training cannot work: no training case holds anything to learn. Warns of structures that
/// no training case holds, validation cases without any, numbers that belong to no class, and images that
/// occur twice.
void check_run_cases(const RunCases& cases, const Warn& warn);

}  // namespace mambaseg
