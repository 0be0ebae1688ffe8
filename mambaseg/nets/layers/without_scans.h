#pragma once

namespace mambaseg {

/// While one that says so lives, blocks that the calling thread makes have convolutions in place of their
/// state-space layers (blocks/scan_twin.h): a network that is made then is the twin of itself without Mamba.
/// What it is made with stays with the network.
class WithoutScansGuard {
 public:
  explicit WithoutScansGuard(bool without);
  ~WithoutScansGuard();
  WithoutScansGuard(const WithoutScansGuard&) = delete;
  WithoutScansGuard& operator=(const WithoutScansGuard&) = delete;

  static bool active();

 private:
  bool before_;
};

}  // namespace mambaseg
