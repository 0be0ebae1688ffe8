#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "mambaseg/report/evaluation.h"

namespace mambaseg {

/// The options that evaluate and compare share.
struct Scoring {
  std::string labels;
  std::vector<std::string> metrics;
  double tolerance_mm = 1;
  std::string connectivity = "26";
  int32_t threshold = -1;
  bool resample = false;
  bool allow_missing = false;
  int threads = 0;

  void declare(CLI::App& command);
  EvaluationOptions options() const;
  /// The columns of the table on the terminal.
  std::vector<std::string> shown(const Evaluation& evaluation) const;
  /// Refuses references without prediction unless allowed, and warns.
  Pairing paired(const std::string& reference, const std::string& prediction) const;
  /// Pairs, and scores with a progress bar.
  Evaluation evaluate_folders(const std::string& reference, const std::string& prediction) const;
  /// The options that are not at their default, as typed.
  std::string as_typed() const;
};

}  // namespace mambaseg
