// Preloaded into a program, this library leaves its kernels no SIMD target that is better than the one named
// by MAMBASEG_SIMD. The tests of one instruction set run with it (tests/run.sh); the kernels themselves read
// no environment variable.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "hwy/targets.h"

namespace {

__attribute__((constructor)) void limit_targets() {
  const char* name = std::getenv("MAMBASEG_SIMD");
  if (name == nullptr) return;
  // A smaller bit is a better target.
  for (int64_t rest = hwy::SupportedTargets(); rest != 0; rest &= rest - 1) {
    const int64_t bit = rest & -rest;
    if (std::strcmp(name, hwy::TargetName(bit)) != 0) continue;
    hwy::DisableTargets(bit - 1);
    return;
  }
  std::fprintf(stderr, "simd_limit: this processor has no SIMD target %s\n", name);
  std::_Exit(1);
}

}  // namespace
