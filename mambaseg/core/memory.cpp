#include "mambaseg/core/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace mambaseg {

long long peak_memory_bytes() {
  std::ifstream status("/proc/self/status");  // forgets on demand, which getrusage does not
  std::string word;
  while (status >> word)
    if (long long kib = 0; word == "VmHWM:" && status >> kib) return 1024 * kib;
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? 1024LL * usage.ru_maxrss : 0;
}

void forget_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

int64_t half_of_memory() {
  constexpr int64_t kUnknown = int64_t{4} << 30;  // no machine of today has less
  static const int64_t half = [] {
    const int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    int64_t memory = pages > 0 && page > 0 ? pages * page : kUnknown;
    int64_t limit = 0;
    for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"})
      if (std::ifstream(path) >> limit && limit > 0) memory = std::min(memory, limit);
    return memory / 2;
  }();
  return half;
}

}  // namespace mambaseg
