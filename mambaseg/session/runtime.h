#pragma once

#include <functional>
#include <string>

#include <torch/types.h>

#include "mambaseg/core/thread_count.h"
#include "mambaseg/infer/precision.h"

namespace mambaseg {

/// How work is to be computed, in words.
struct RuntimeSettings {
  std::string device = "cpu";  ///< device_named
  std::string precision = "auto";
  int threads = 0;  ///< 0: as many as the machine has
};

/// How work is computed. A value: several may be in use side by side. The same number of threads gives the
/// same bits, whatever else the process does.
struct Runtime {
  torch::Device device = torch::kCPU;
  Precision precision = Precision::automatic;
  int threads = 1;

  Runtime() = default;
  /// UsageError for a device or precision that is not there, and for less than no thread.
  explicit Runtime(const RuntimeSettings& settings);

  /// Runs `work` on a thread of its own, on which LibTorch computes with so many threads and flushes
  /// denormals to zero, and waits for it. What it throws is thrown here. The settings of the calling thread
  /// are neither used nor changed.
  void run(const std::function<void()>& work) const;
};

/// For a program that has the process for itself: LibTorch computes with so many threads from now on, flushes
/// denormals, does not round to TF32 and reuses the memory of its tensors. Returns the device; UsageError
/// when it is not there.
torch::Device start_program(const std::string& device, int threads);

}  // namespace mambaseg
