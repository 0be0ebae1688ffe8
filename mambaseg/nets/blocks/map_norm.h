#pragma once

#include "mambaseg/nets/layers/norm.h"

namespace mambaseg {

/// Layer norm over the channels of maps (B, C, spatial...), "channels first" in ConvNeXt's words.
class MapLayerNorm : public LayerNorm {
 public:
  using LayerNorm::LayerNorm;
  torch::Tensor forward(const torch::Tensor& x) override {
    return LayerNorm::forward(x.movedim(1, -1)).movedim(-1, 1);
  }
};

}  // namespace mambaseg
