#pragma once

#include <utility>

#include <torch/nn/module.h>
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

/// set_scale_factors of a network that is PixelScaled; others need none.
inline void tell_scale_factors(torch::nn::Module& network, const torch::Tensor& factors_B2) {
  if (auto* scaled = dynamic_cast<PixelScaled*>(&network)) scaled->set_scale_factors(factors_B2);
}

}  // namespace mambaseg
