#pragma once

#include <functional>

#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/layers/norm.h"

namespace mambaseg {

/// Where the channels of a PVM layer are cut into chunks.
enum class PvmCut {
  even,     ///< into chunks of one width
  shifted,  ///< half a chunk later, the last half joined to the first: chunks reach over the borders of
            ///< `even`
  halves    ///< half a chunk later, both halves by themselves
};

struct PvmSettings {
  int64_t in = 16, out = 16;
  int64_t dims = 2;     ///< spatial axes
  int64_t chunks = 4;   ///< that the channels are split into
  int64_t states = 16;  ///< states of the selective scan a channel
  bool normed_skip =
      true;  ///< what is added to Mamba's result is the normed chunk, else the chunk as it came
  PvmCut cut = PvmCut::even;
  /// What reads the chunks (B, spatial..., width); null: Mamba.
  std::function<std::shared_ptr<Layer>(int64_t width)> mixer = nullptr;
};

/// Parallel vision Mamba (PVM) of UltraLight VM-UNet, with one chunk and a skip that is not normed the RVM
/// layer of LightM-UNet: norm, one Mamba on each chunk of the channels plus the scaled chunk, the same norm
/// again, projection. Prefixes "norm", "mamba", "proj", "skip_scale", for PvmCut::halves "mamba_small".
class PvmLayer : public Layer {
 public:
  /// UsageError unless `in` divides into the chunks, into halves of them where these are cut.
  explicit PvmLayer(const PvmSettings& settings);
  /// x (B, in, spatial...) -> (B, out, spatial...)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  PvmSettings settings_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Layer> mamba_, mamba_small_;
  std::shared_ptr<Linear> proj_;
  torch::Tensor skip_scale_;
};

}  // namespace mambaseg
