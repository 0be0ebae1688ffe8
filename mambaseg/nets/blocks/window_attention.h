#pragma once

#include "mambaseg/nets/blocks/attention.h"
#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {

/// x (B, S..., C), of whole windows -> (B * windows, tokens, C), windows and tokens row-major.
torch::Tensor windows_of(const torch::Tensor& x_BSC, const Extent& window);

/// Undoes windows_of for a grid of these sizes.
torch::Tensor grid_of(const torch::Tensor& windows, const Extent& grid, const Extent& window);

struct WindowSettings {
  int64_t width = 96;  ///< channels of the tokens, a multiple of `heads`
  int64_t heads = 3;
  Extent window{7, 7};   ///< tokens along each axis of the grid
  bool shifted = false;  ///< windows begin half a window later, and the first ones end what the last begin
  /// Where the grid is smaller than the window, token k gets the relative positions of token k of the whole
  /// window, as MONAI's code does, instead of its own: a mistake with which published weights were trained.
  bool corner_positions = false;
  /// Where one window covers an axis, `shifted` shifts it too.
  bool always_shifts = false;
};

/// Self attention within windows (Liu et al. 2021, Swin Transformer), with a learnt bias for each relative
/// position and head. Grids that windows do not divide are padded with zeros behind; along an axis not longer
/// than the window there is one window of its size and no shift. Prefixes "qkv", "proj",
/// "relative_position_bias_table".
class WindowAttention : public SelfAttention, public ComputesEntries {
 public:
  explicit WindowAttention(const WindowSettings& settings);
  /// x (B, S..., width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BSC) override;
  /// "relative_position_index".
  bool check_computed(const std::string& name, const torch::Tensor& value) const override;
  /// AttentionBias::regions (windows, tokens of a window) of a shifted grid of whole windows: tokens that are
  /// no neighbours in the image have different numbers.
  static torch::Tensor regions(const Extent& grid, const Extent& window, const Extent& shift,
                               torch::Device device);

 private:
  torch::Tensor bias_of(const Extent& window, torch::ScalarType type) const;

  WindowSettings settings_;
  torch::Tensor table_;  ///< (relative positions, heads)
};

/// x + path(attention(norm(x))), then x + path(mlp(norm(x))), the block of the Swin Transformer.
class SwinBlock : public MixerBlock, public ComputesEntries {
 public:
  /// `attention.width` is that of the block. Prefixes "norm1", "attn", "norm2", "mlp" with its layers `first`
  /// and `second`.
  SwinBlock(const WindowSettings& attention, int64_t mlp_hidden, double drop_path, const char* first = "fc1",
            const char* second = "fc2", double norm_eps = 1e-5);
  /// "attn_mask", which is of one size of image: that of any plane with as many windows is taken.
  bool check_computed(const std::string& name, const torch::Tensor& value) const override;

 private:
  Extent window_;
};

/// SwinBlocks, every second within shifted windows, then what changes the grid, where there is one. Prefix
/// "blocks".
class SwinStage : public Layer {
 public:
  /// One block for each number of `drop_path`; the other arguments as SwinBlock has them.
  SwinStage(WindowSettings attention, int64_t mlp_hidden, const std::vector<double>& drop_path,
            const char* first = "fc1", const char* second = "fc2");
  /// Puts `change` behind the blocks, with its name as prefix.
  void then(const char* name, std::shared_ptr<Layer> change);
  torch::Tensor forward(const torch::Tensor& x_BSC) override;

 private:
  std::vector<std::shared_ptr<SwinBlock>> blocks_;
  std::shared_ptr<Layer> change_;
};

}  // namespace mambaseg
