#pragma once

#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/sequence.h"

namespace mambaseg {

/// How a MixerBlock3d is built around its mixer.
struct MixerBlockSettings {
  int64_t width = 1024;
  int64_t mlp_hidden = 1024;  ///< 0: no MLP (the vanilla block)
  double mlp_dropout = 0;
  double drop_path = 0;  ///< chance that a residual branch is left out for a sample while training
  double norm_eps = 1e-5;
};

/// Linear, GELU (erf), dropout, linear, dropout. Prefix "net".
class MixerMlp : public Layer {
 public:
  MixerMlp(int64_t width, int64_t hidden, double dropout);
  /// (..., width) -> (..., width)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<Sequence> net_;
};

/// x + path(mixer(norm(x))), then x + path(mlp(norm(x))): VSSBlock3D of MedSegMamba. `path` leaves the branch
/// out for a sample with the chance drop_path and scales the kept ones up (stochastic depth). Prefixes
/// "ln_1", "self_attention" (the mixer), "ln_2", "mlp".
class MixerBlock3d : public Layer {
 public:
  MixerBlock3d(const MixerBlockSettings& settings, std::shared_ptr<Layer> mixer);
  torch::Tensor forward(const torch::Tensor& x_BZYXC) override;

 private:
  std::shared_ptr<LayerNorm> ln_1_, ln_2_;
  std::shared_ptr<DropPath> path_;
  std::shared_ptr<Layer> mixer_;
  std::shared_ptr<MixerMlp> mlp_;
};

/// Blocks one after the other. Prefix "blocks".
class MixerStack3d : public Layer {
 public:
  explicit MixerStack3d(std::vector<std::shared_ptr<Layer>> blocks);
  torch::Tensor forward(const torch::Tensor& x_BZYXC) override;

 private:
  std::vector<std::shared_ptr<Layer>> blocks_;
};

}  // namespace mambaseg
