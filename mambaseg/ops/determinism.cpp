#include "mambaseg/ops/determinism.h"

#include <ATen/Context.h>

namespace mambaseg {

void compute_deterministically(bool wanted) {
  at::globalContext().setDeterministicAlgorithms(wanted, /*warn_only=*/false);
  at::globalContext().setDeterministicCuDNN(wanted);
  at::globalContext().setBenchmarkCuDNN(false);
}

bool computes_deterministically() { return at::globalContext().deterministicAlgorithms(); }

}  // namespace mambaseg
