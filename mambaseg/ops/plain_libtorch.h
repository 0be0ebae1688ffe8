#pragma once

namespace mambaseg {

/// While one lives, the calling thread's convolutions, linear layers, norms and poolings are LibTorch's own:
/// what tests and benchmarks compare with. The selective scan, which LibTorch does not have, stays.
class PlainLibTorchGuard {
 public:
  PlainLibTorchGuard();
  ~PlainLibTorchGuard();
  PlainLibTorchGuard(const PlainLibTorchGuard&) = delete;
  PlainLibTorchGuard& operator=(const PlainLibTorchGuard&) = delete;
  static bool active();

 private:
  bool before_;
};

}  // namespace mambaseg
