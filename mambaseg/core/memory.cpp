#include "mambaseg/core/memory.h"

#include <sys/resource.h>

namespace mambaseg {

long long peak_memory_bytes() {
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? 1024LL * usage.ru_maxrss : 0;
}

}  // namespace mambaseg
