#pragma once

#include <string>

#include "mambaseg/config/config.h"
#include "mambaseg/report/evaluation.h"

namespace mambaseg {

/// How an evaluation was made, written into its files.
struct Origin {
  std::string command;
  std::string version;
};

/// summary.json: nnU-Net's shape (foreground_mean, mean, metric_per_case with TP FP FN TN n_pred n_ref Dice
/// IoU) and beside it all other metrics, the names of the labels, the spread, what was missed, missing files
/// and the origin. Undefined values are null.
Json summary_json(const Evaluation& evaluation, const Origin& origin);

/// A table for people: one line a label with mean and standard deviation of each of `metrics` (names that the
/// evaluation lacks are passed over), how many cases enter, how many were missed or spurious, and the mean
/// over labels.
std::string text_table(const Evaluation& evaluation, const std::vector<std::string>& metrics);

}  // namespace mambaseg
