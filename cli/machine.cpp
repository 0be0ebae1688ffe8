#include "cli/machine.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/determinism.h"
#include "mambaseg/session/runtime.h"

namespace mambaseg {

void Machine::declare(CLI::App& command) {
  command.add_option("--threads", threads, "Threads to use; 0 means all cores")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--device", device, "cpu, cuda, or cuda:1 for the second GPU");
  command.add_flag("--deterministic", deterministic,
                   "On a GPU only algorithms that give the same bits every time; what has none is refused "
                   "(docs/gpu.md)");
}

Machine Machine::of_process(int local_rank, int local_size) const {
  Machine own = *this;
  if (local_size > 1 && device == "cuda") own.device = concat("cuda:", local_rank);
  // A launcher that bound the process to cores has divided them already.
  const bool bound = thread_count(0) < sysconf(_SC_NPROCESSORS_ONLN);
  if (local_size > 1 && threads == 0 && !bound) own.threads = std::max(1, thread_count(0) / local_size);
  return own;
}

torch::Device Machine::start() const {
  const torch::Device chosen = start_program(device, threads);
  compute_deterministically(deterministic && chosen.is_cuda());
  if (deterministic && chosen.is_cuda()) setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  if (deterministic && chosen.is_cpu())
    std::fprintf(stderr,
                 "--deterministic: nothing changes on a processor, where the same build, seed and number of "
                 "threads give the same bits anyway\n");
  return chosen;
}

}  // namespace mambaseg
