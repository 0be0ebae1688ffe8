#pragma once

#include <memory>

#include <torch/types.h>

namespace mambaseg {

/// Arithmetic, whatever computes it and how cleverly.
struct OperationCount {
  int64_t multiply_adds = 0;  ///< of convolutions and matrix products, as they are defined
  int64_t state_updates = 0;  ///< of selective scans: tokens x walks x channels x states
};

/// While one lives, what the calling thread would compute by convolutions, matrix products and selective
/// scans is counted and left out: their results are zeros of the right sizes, so a forward pass takes little
/// time and reads no large weights. Sums, norms, activations, resampling and Fourier transforms are not
/// counted. The last counter of a thread counts. For passes without gradient.
class OperationCounter {
 public:
  OperationCounter();
  ~OperationCounter();
  OperationCounter(const OperationCounter&) = delete;
  OperationCounter& operator=(const OperationCounter&) = delete;
  const OperationCount& count() const { return count_; }

  /// The counter of the calling thread, or null. Operators that LibTorch does not have ask here.
  static OperationCounter* active();
  void add(int64_t multiply_adds, int64_t state_updates);

 private:
  struct Guards;
  OperationCount count_;
  OperationCounter* before_;
  std::unique_ptr<Guards> guards_;
};

}  // namespace mambaseg
