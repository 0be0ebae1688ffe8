#include "mambaseg/core/thread_count.h"

#include <algorithm>
#include <thread>

namespace mambaseg {

int thread_count(int wish) {
  return wish > 0 ? wish : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace mambaseg
