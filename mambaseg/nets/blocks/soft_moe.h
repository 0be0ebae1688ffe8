#pragma once

#include "mambaseg/nets/layers/sequence.h"

/// Soft mixtures of experts (Puigcerver et al. 2024) with slots that depend on the tokens, as Mamba-HoME has
/// them. Computed in fp32.
namespace mambaseg {

struct SoftMoeSettings {
  int64_t width = 48;
  int64_t experts = 4;
  double expansion = 2;  ///< inner channels of an expert / width; of a gated one 2 / 3 of it
  bool gated = true;     ///< experts are GEGLU, else GELU
  double dropout = 0;    ///< in the experts
};

/// x / max(|x|, 1e-8) * sqrt(width) * gamma on the last axis. Parameter "gamma".
class RootMeanSquareNorm : public Layer {
 public:
  explicit RootMeanSquareNorm(int64_t width);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  torch::Tensor gamma_;
};

/// The tokens are normed; each run of as many tokens as there are experts gives each expert one slot, which
/// stands for their mean. An expert sees, for each of its slots, the mean of all tokens weighted by how well
/// they fit; a token gets the mean of all results weighted so. Prefixes "norm", "to_slot_embeds.0",
/// "to_slot_embeds.2", "experts".
class SoftMixture : public Layer {
 public:
  explicit SoftMixture(const SoftMoeSettings& settings);
  /// x (B, L, width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BLC) override;

 private:
  int64_t width_;
  std::shared_ptr<RootMeanSquareNorm> norm_;
  std::shared_ptr<Sequence> slots_;
  std::vector<std::shared_ptr<Layer>> experts_;
};

struct HierarchicalMoeSettings : SoftMoeSettings {
  int64_t group = 2048;  ///< tokens that go together in the first level
  int64_t slots = 4;     ///< of an expert of the first level
  int64_t second_experts = 8;
};

/// Hierarchical soft mixture of experts (HoME, Plotka et al. 2025): within groups of tokens that follow each
/// other a mixture whose shares serve to send and to gather (one softmax over the slots), what its experts
/// give of all groups through a SoftMixture, and back to the tokens. The gates of groups and of experts
/// change nothing, as the second level begins with a norm; they are kept as published. Prefixes
/// "expert_gates", "norm", "to_slot_embeds.0", "to_slot_embeds.2", "experts_first", "group_gate_mlp",
/// "dynamic_slots_soft_moe".
class HierarchicalMixture : public Layer {
 public:
  explicit HierarchicalMixture(const HierarchicalMoeSettings& settings);
  /// x (B, L, width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BLC) override;

 private:
  HierarchicalMoeSettings settings_;
  torch::Tensor expert_gates_;
  std::shared_ptr<RootMeanSquareNorm> norm_;
  std::shared_ptr<Sequence> slots_;
  std::vector<std::shared_ptr<Layer>> experts_;
  std::shared_ptr<Layer> group_gate_;
  std::shared_ptr<SoftMixture> second_;
};

}  // namespace mambaseg
