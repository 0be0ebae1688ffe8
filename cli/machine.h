#pragma once

#include <string>

#include <torch/types.h>
#include <CLI/CLI.hpp>

namespace mambaseg {

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

}  // namespace mambaseg
