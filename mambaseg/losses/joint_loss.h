#pragma once

#include "mambaseg/losses/loss.h"

namespace mambaseg {

/// A loss of networks that are trained together, in which the scores of one teach the others. A training step
/// hands it every output of the network (weak_mamba_unet); of one alone it is what is left without others.
class JointLoss : public Loss {
 public:
  /// scores[m] (B, K, spatial...) of member m, all of one size, and classes (B, spatial...) as Loss has them
  /// -> scalar. UsageError when the sizes differ.
  virtual torch::Tensor of_members(const std::vector<torch::Tensor>& scores,
                                   const torch::Tensor& classes) const = 0;

  torch::Tensor operator()(const torch::Tensor& scores, const torch::Tensor& classes, int64_t) const final {
    return of_members({scores}, classes);
  }
};

}  // namespace mambaseg
