#pragma once

namespace mambaseg {

/// While one lives, the calling thread's start_weights leaves weights as they are: for networks that are
/// looked at and not run, however large, as memory that nobody writes is not taken.
class UnfilledWeightsGuard {
 public:
  UnfilledWeightsGuard();
  ~UnfilledWeightsGuard();
  UnfilledWeightsGuard(const UnfilledWeightsGuard&) = delete;
  UnfilledWeightsGuard& operator=(const UnfilledWeightsGuard&) = delete;

 private:
  bool before_;
};

}  // namespace mambaseg
