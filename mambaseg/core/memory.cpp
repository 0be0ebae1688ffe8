#include "mambaseg/core/memory.h"

#include <sys/resource.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace mambaseg {

void keep_freed_memory() {
#if defined(__GLIBC__)
  constexpr int kNever = -1, kGrowthBytes = 256 << 20;
  mallopt(M_MMAP_MAX, 0);  // a mapped block goes back to the system when it is freed
  mallopt(M_TRIM_THRESHOLD, kNever);
  mallopt(M_TOP_PAD, kGrowthBytes);
#endif
}

long long peak_memory_bytes() {
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? 1024LL * usage.ru_maxrss : 0;
}

}  // namespace mambaseg
