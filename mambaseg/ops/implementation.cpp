#include "mambaseg/ops/implementation.h"

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {
thread_local SlowOperators* listening = nullptr;
}  // namespace

SlowOperators::SlowOperators(Warn warn) : warn_(std::move(warn)), before_(listening) { listening = this; }
SlowOperators::~SlowOperators() { listening = before_; }

void SlowOperators::report(const char* operation, const std::string& why_not) {
  if (!listening || !listening->warn_) return;
  const std::string line =
      concat(operation, " is computed on the GPU by LibTorch's operations, which is slow: ", why_not);
  if (listening->told_.insert(line).second) listening->warn_(line);
}

}  // namespace mambaseg
