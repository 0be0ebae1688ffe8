#pragma once

#include <cstddef>
#include <set>
#include <string>

#include <torch/types.h>

#include "mambaseg/core/progress.h"

namespace mambaseg {

// An operator has a list of implementations: our kernels, then LibTorch's own operations, which take
// everything. Each has a `name`, `why_not(call)`, which is empty where it takes the call and otherwise says
// in a few words why not, and the functions that compute. `call` is what the choice depends on and no more,
// its `device` among it.

/// While one lives, `warn` hears, once for each operator and reason, what the calling thread leaves to
/// LibTorch on a GPU because our kernel does not take it: the results are the same, but slow to come. The
/// last of a thread is the one that hears.
class SlowOperators {
 public:
  explicit SlowOperators(Warn warn);
  ~SlowOperators();
  SlowOperators(const SlowOperators&) = delete;
  SlowOperators& operator=(const SlowOperators&) = delete;

  static void report(const char* operation, const std::string& why_not);

 private:
  Warn warn_;
  std::set<std::string> told_;
  SlowOperators* before_;
};

/// The first of `implementations` that takes `call`. Where that is LibTorch's on a GPU, SlowOperators hears
/// why the first one, the CUDA kernel, does not.
template <class Implementation, size_t N, class Call>
const Implementation& choose(const char* operation, const Implementation (&implementations)[N],
                             const Call& call) {
  size_t i = 0;
  while (i + 1 < N && !implementations[i].why_not(call).empty()) ++i;
  if (i + 1 == N && call.device.is_cuda()) SlowOperators::report(operation, implementations[0].why_not(call));
  return implementations[i];
}

}  // namespace mambaseg
