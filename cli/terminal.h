#pragma once

#include <string>

#include <torch/types.h>
#include <torch/utils.h>
#include <CLI/CLI.hpp>

#include "mambaseg/core/progress.h"

namespace mambaseg {

/// A progress bar with the time left on stderr when that is a terminal, else nothing. Ends its line when done
/// = total.
Progress progress_bar();

/// Prints "mambaseg: warning: ..." on stderr, ending an unfinished bar first.
Warn warnings_to_stderr();

/// --threads and --device, the same in every command that computes.
struct Machine {
  int threads = 0;  ///< 0: all cores
  std::string device = "cpu";

  void declare(CLI::App& command);
  /// Sets LibTorch's threads, flushes denormals to zero in every worker, and returns the device; UsageError
  /// when it is not there.
  torch::Device start() const;
};

/// "3 min 05 s", "12.3 s"
std::string readable_duration(double elapsed_s);

}  // namespace mambaseg
