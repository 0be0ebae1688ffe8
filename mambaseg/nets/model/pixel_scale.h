#pragma once

#include <utility>

#include <torch/types.h>

namespace mambaseg {

/// A network that works at a resolution of its own and is told that of the images beside them.
class PixelScaled {
 public:
  virtual ~PixelScaled() = default;
  /// For the batches that follow: resolution of the network over pixel size of each image, along rows and
  /// columns: (B, 2), fp32 on the CPU. Undefined, as at first: 1 everywhere, the images have the network's
  /// resolution.
  void set_scale_factors(torch::Tensor factors_B2) { factors_B2_ = std::move(factors_B2); }

 protected:
  torch::Tensor factors_B2_;
};

}  // namespace mambaseg
