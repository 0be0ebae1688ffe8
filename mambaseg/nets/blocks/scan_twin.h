#pragma once

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/without_scans.h"

namespace mambaseg {

/// What a state-space layer has to be replaced.
struct ScanSize {
  int64_t dims = 3;  ///< axes of the grid that the tokens lie on
  int64_t channels = 64;
  int64_t rank = 4;  ///< of the projection to the time steps
  int64_t states = 16;
  int64_t walks = 1;  ///< each with weights of its own

  /// Of x_proj, dt_proj with its bias, A and D.
  int64_t parameters() const;
};

/// Convolutions that stand for a state-space layer in a network's twin without Mamba. A scan mixes tokens
/// channel by channel, steered by narrow projections of all channels; its twin mixes neighbours channel by
/// channel (depthwise, edge 3), then all channels through a narrow pointwise pair with SiLU between, and
/// keeps the skip (D). The pair is as wide as gives about as many parameters.
class ScanTwin : public Layer {
 public:
  explicit ScanTwin(const ScanSize& size);
  /// x (B, sizes..., channels), as many sizes as dims -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  int64_t dims_;
  std::shared_ptr<Convolution> neighbours_;
  std::shared_ptr<Linear> narrow_, widen_;
};

/// The twin, registered as `name` in `owner`, where a twin is being made; else null.
std::shared_ptr<ScanTwin> scan_twin(torch::nn::Module& owner, const std::string& name, const ScanSize& size);

}  // namespace mambaseg
