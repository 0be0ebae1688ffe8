#include "mambaseg/kernels/target.h"

#include <array>

#include "hwy/targets.h"

namespace mambaseg {
namespace {

struct TargetList {
  std::array<SimdTarget, 32> targets{};
  size_t size = 0;
};

TargetList detect() {
  TargetList list;
  // A smaller bit is a better target; HWY_TARGETS are those that the kernels are compiled for.
  for (int64_t rest = hwy::SupportedTargets() & HWY_TARGETS; rest != 0; rest &= rest - 1) {
    const int64_t bit = rest & -rest;
    list.targets[list.size++] = {hwy::TargetName(bit), bit};
  }
  return list;
}

}  // namespace

std::span<const SimdTarget> supported_targets() {
  static const TargetList list = detect();
  return {list.targets.data(), list.size};
}

SimdTarget best_target() { return supported_targets().front(); }

SimdTarget find_target(std::string_view name) {
  for (const SimdTarget& target : supported_targets()) {
    if (name == target.name) return target;
  }
  return {};
}

}  // namespace mambaseg
