#pragma once

#include "mambaseg/nets/layers/sequence.h"

namespace mambaseg {

struct ConvBlockAttentionSettings {
  int64_t channels = 64;
  int64_t reduction = 16;  ///< channels / channels inside the channel attention, which are at least one
  int64_t kernel = 7;      ///< edge of the spatial attention's convolution, odd
};

/// Convolutional block attention module (CBAM, Woo et al. 2018) in two dimensions: channels are gated by what
/// one MLP makes of their mean and their maximum, then places by a convolution of maximum and mean over the
/// channels, with batch norm. Prefixes "mlp", "spatial".
class ConvBlockAttention : public Layer {
 public:
  /// UsageError for an even kernel.
  explicit ConvBlockAttention(const ConvBlockAttentionSettings& settings);
  /// x (B, channels, Y, X) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BCYX) override;

  /// The name here of an entry of a state_dict that holds modules of the authors' code
  /// (github.com/Jongchan/attention-module: "ChannelGate", "SpatialGate"); other names stay.
  static std::string our_name(const std::string& official);

 private:
  std::shared_ptr<Sequence> mlp_, spatial_;
};

}  // namespace mambaseg
