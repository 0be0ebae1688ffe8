#include "mambaseg/train/loss_scale.h"

namespace mambaseg {
namespace {

constexpr int64_t kStepsToDouble = 2000;
constexpr double kLeast = 2;

}  // namespace

void LossScale::keep() {
  if (factor == 1 || ++steps < kStepsToDouble) return;
  factor *= 2;
  steps = 0;
}

bool LossScale::halve() {
  if (factor <= kLeast) return false;
  factor /= 2;
  steps = 0;
  return true;
}

}  // namespace mambaseg
