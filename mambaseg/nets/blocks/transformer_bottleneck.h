#pragma once

#include "mambaseg/nets/blocks/attention.h"
#include "mambaseg/nets/layers/sequence.h"

namespace mambaseg {

struct TransformerSettings {
  int64_t width = 1024;
  Extent grid{12, 12,
              12};  ///< of tokens that positions are learnt for; their number is the width inside the MLP
  int64_t heads = 16;
  int64_t layers = 8;
  double dropout = 0;            ///< after the attention block and in the MLP
  double attention_dropout = 0;  ///< on the attention weights and after their projection
};

/// Pre-norm blocks of attention and an MLP (TransformerModel of TABSurfer). Prefixes "net.0" (the first
/// attention), "net.1" (the first MLP), "net.2", ...
class TransformerModel : public Layer {
 public:
  /// `mlp_width` inside the MLP.
  TransformerModel(const TransformerSettings& settings, int64_t mlp_width);
  /// x (B, ..., width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override { return net_->forward(x); }

 private:
  std::shared_ptr<Sequence> net_;
};

/// The bottleneck of TABSurfer (Cao et al. 2024, models/Transformer.py of MedSegMamba): learnt positions,
/// then the blocks. Prefixes "position_encoding", "transformer".
class TransformerBottleneck : public Layer {
 public:
  explicit TransformerBottleneck(const TransformerSettings& settings);
  torch::Tensor forward(const torch::Tensor& x_BZYXC) override;

 private:
  std::shared_ptr<LearntPositions> positions_;
  std::shared_ptr<TransformerModel> transformer_;
};

}  // namespace mambaseg
