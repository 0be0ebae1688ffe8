#pragma once

#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/recompute.h"
#include "mambaseg/nets/layers/sequence.h"

namespace mambaseg {

/// Linear, GELU (erf), dropout, linear, dropout.
class MixerMlp : public Layer {
 public:
  /// Prefixes "net.0" and "net.3".
  MixerMlp(int64_t width, int64_t hidden, double dropout);
  /// Prefixes `first` and `second`.
  MixerMlp(int64_t width, int64_t hidden, double dropout, const char* first, const char* second);
  /// (..., width) -> (..., width)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<Linear> first_, second_;
  std::shared_ptr<Dropout> dropout_;
};

/// What the parts of a MixerBlock are called in a state_dict.
struct MixerNames {
  const char *norm1, *mixer, *norm2, *mlp;
  const char *first = nullptr, *second = nullptr;  ///< layers of the MLP; null: as MixerMlp has them
};

/// How a MixerBlock is built around its mixer.
struct MixerBlockSettings {
  int64_t width = 1024;
  int64_t mlp_hidden = 1024;  ///< 0: no MLP (the vanilla block)
  double mlp_dropout = 0;
  double drop_path = 0;  ///< chance that a residual branch is left out for a sample while training
  double norm_eps = 1e-5;
  MixerNames names = {"ln_1", "self_attention", "ln_2", "mlp"};
};

/// x + path(mixer(norm(x))), then x + path(mlp(norm(x))): a pre-norm transformer block, whatever mixes its
/// tokens; VSSBlock3D of MedSegMamba. `path` leaves the branch out for a sample with the chance drop_path and
/// scales the kept ones up (stochastic depth).
class MixerBlock : public RecomputableLayer {
 public:
  /// `mlp` stands in place of the MLP of the settings, where one is given.
  MixerBlock(const MixerBlockSettings& settings, std::shared_ptr<Layer> mixer,
             std::shared_ptr<Layer> mlp = nullptr);

 protected:
  /// x (B, ..., width) -> the same sizes
  torch::Tensor compute(const torch::Tensor& x) override;

 private:
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<DropPath> path_;
  std::shared_ptr<Layer> mixer_, mlp_;
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
