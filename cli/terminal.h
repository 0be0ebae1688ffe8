#pragma once

#include <string>
#include <vector>

#include <torch/types.h>
#include <torch/utils.h>
#include <CLI/CLI.hpp>

#include "mambaseg/core/progress.h"

namespace mambaseg {

/// A progress bar with the time left on stderr when that is a terminal, else progress_lines.
Progress progress_bar();

/// A line with the time left on stderr, not more often than every so many seconds.
Progress progress_lines(double every_s);

/// Prints lines on stdout as they come.
Warn notes_to_stdout();

/// Prints "mambaseg: warning: ..." on stderr, ending an unfinished bar first.
Warn warnings_to_stderr();

/// --threads, --device and --deterministic, the same in every command that computes.
struct Machine {
  int threads = 0;  ///< 0: all cores
  std::string device = "cpu";
  bool deterministic = false;

  void declare(CLI::App& command);
  /// Sets LibTorch's threads, flushes denormals to zero in every worker, has a GPU compute deterministically
  /// where that is wanted, and returns the device; UsageError when it is not there.
  torch::Device start() const;
  /// The same for one of several processes on a machine: its GPU where no number was given, its part of the
  /// cores where no number of threads was.
  Machine of_process(int local_rank, int local_size) const;
};

/// --set, the same in every command that takes a recipe: once for each setting, so that what follows is not
/// swallowed. `what` begins the help text.
void declare_assignments(CLI::App& command, std::vector<std::string>& assignments, const std::string& what);

}  // namespace mambaseg
