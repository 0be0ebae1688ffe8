#pragma once

#include <string>
#include <vector>

#include "mambaseg/report/comparison.h"
#include "mambaseg/report/evaluation.h"

namespace mambaseg {

/// Mean and standard deviation of the foreground mean over runs: repeated random splits, folds or seeds, each
/// with the predictions of its own test cases. The spread is between runs, not between cases.
Json runs_json(const std::vector<Method>& runs, const std::string& command, const std::string& version);

/// One line a run and "mean of N runs" with ± sd, for people.
std::string runs_table(const std::vector<Method>& runs, const std::vector<std::string>& metrics);

}  // namespace mambaseg
