#pragma once

namespace mambaseg {

/// While one lives, the calling thread's start_weights leaves weights as they are: for networks that are
/// looked at and not run, however large, as memory that nobody writes is not taken; and for those whose
/// weights are read next.
class UnfilledWeightsGuard {
 public:
  UnfilledWeightsGuard();
  ~UnfilledWeightsGuard();
  UnfilledWeightsGuard(const UnfilledWeightsGuard&) = delete;
  UnfilledWeightsGuard& operator=(const UnfilledWeightsGuard&) = delete;

  static bool active();

 private:
  bool before_;
};

}  // namespace mambaseg
