#pragma once

#include "mambaseg/nets/layers/sequence.h"

namespace mambaseg {

struct TransformerSettings {
  int64_t width = 1024;
  int64_t tokens = 1728;  ///< positions that are learnt, and the width inside the MLP
  int64_t heads = 16;
  int64_t layers = 8;
  double dropout = 0;            ///< after the attention block and in the MLP
  double attention_dropout = 0;  ///< on the attention weights and after their projection
};

/// The bottleneck of TABSurfer (Cao et al. 2024, models/Transformer.py of MedSegMamba): learnt positions,
/// then pre-norm attention and MLP blocks. Its grid is fixed by the learnt positions.
class TransformerBottleneck : public Layer {
 public:
  explicit TransformerBottleneck(const TransformerSettings& settings);
  /// Throws Error when the grid does not have `tokens` tokens.
  torch::Tensor forward(const torch::Tensor& x_BZYXC) override;

 private:
  torch::Tensor positions_;  ///< (1, tokens, width)
  std::shared_ptr<Sequence> net_;
};

}  // namespace mambaseg
