#pragma once

#include <algorithm>
#include <functional>

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/network.h"

/// What U2-Net (Qin et al. 2020) and its successors in nnUZoo (X2Net) share: a U of stages each of which is a
/// U of its own. In the plane; between stages channels come first. Module names are those of nnUZoo.
namespace mambaseg {

/// Convolution of edge 3, batch norm, ReLU. A separable one has a depthwise and a pointwise convolution
/// without biases and no dilation, as the original's ignores it. Prefixes "conv_s1", "bn_s1".
class U2Conv : public Layer {
 public:
  U2Conv(int64_t in, int64_t out, int64_t dilation = 1, bool separable = false);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<Layer> conv_;
  std::shared_ptr<BatchNorm> norm_;
};

/// A residual U of U2Conv (RSU). `levels` deep, the grid halved (rounded up) between all but the last two
/// levels, which is dilated. Of 0 levels: RSU4F, four levels on one grid, dilated 1, 2, 4, 8. Prefixes
/// "rebnconvin", "rebnconv1", ..., "rebnconv1d".
class ResidualU : public Layer {
 public:
  ResidualU(int64_t levels, int64_t in, int64_t mid, int64_t out, bool separable = false);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  bool halves_;
  std::shared_ptr<U2Conv> in_;
  std::vector<std::shared_ptr<U2Conv>> down_, up_;  ///< finest first; coarsest first
};

/// Joins blocks of `scale` tokens (1 or 2 along each axis), norm, projection to `out`. An odd last row or
/// column is joined with zeros (`pads`) or dropped. The order within a block is (row, column) 00, 01, 10, 11,
/// or with `columns_first` 00, 10, 01, 11. Prefixes "reduction", "norm".
class GridMerging : public Layer {
 public:
  struct Settings {
    int64_t in, out;
    Extent scale{2, 2};
    bool columns_first = false;
    bool pads = true;
    double norm_eps = 1e-5;
  };
  explicit GridMerging(const Settings& s);
  /// x (B, in, Y, X) -> (B, out, ...)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  Settings settings_;
  std::shared_ptr<Linear> reduction_;
  std::shared_ptr<LayerNorm> norm_;
};

/// Spreads each token over a block of `scale` tokens, then a norm. Without `out` its projection comes first
/// and leaves channels / scale of them; with it the channels are cut into a block, whose tokens are
/// projected. Prefixes "expand", "norm".
class GridExpanding : public Layer {
 public:
  explicit GridExpanding(int64_t in, int64_t out = 0, Extent scale = {2, 2}, double norm_eps = 1e-5);
  /// x (B, in, Y, X) -> (B, channels, scale * ...)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  bool projects_first_;
  Extent scale_;
  std::shared_ptr<Linear> expand_;
  std::shared_ptr<LayerNorm> norm_;
};

/// x + c(a(x) + b(x)) with a norm of each channel before every part; a and c separable convolutions, b a
/// pointwise one, each with ReLU. Prefixes "proj", "proj2", "proj3".
class GatedSpatialConvs : public Layer {
 public:
  GatedSpatialConvs(int64_t dims, int64_t width);
  /// x (B, width, spatial...) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  PlainInstanceNorm norm_;
  std::shared_ptr<Sequence> a_;
  std::shared_ptr<Convolution> b_;
  std::shared_ptr<Sequence> c_;
};

/// The settings that all share.
struct X2NetSettings {
  int64_t in_channels = 3;
  int64_t classes = 2;
  int64_t width = 32;
  bool even = false;
  bool deep_supervision = true;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("width", width, "channels of the finest scale", at_least(1));
    visit("even", even,
          "the small variant: as many channels in each scale of the encoder, twice as many in the decoder; "
          "else they double from scale to scale");
    visit("deep_supervision", deep_supervision, "scores of each scale too while training");
  }
  int64_t doublings = 4;  ///< no setting: from scale to scale, unless even
  /// What leaves stage `number` (1 the finest, 6 the coarsest) of the encoder.
  int64_t encoder_width(int64_t number) const {
    return even ? width : width << std::min(number - 1, doublings);
  }
};

/// How a network is built of its stages: what is not given is U2-Net's.
struct X2NetParts {
  /// A stage of the encoder (1 to 6) or the decoder (5 to 1).
  std::function<std::shared_ptr<Layer>(int64_t number, bool decoder, int64_t in, int64_t out)> stage =
      nullptr;
  /// From encoder stage `number` to the next one; null: the largest of 2 x 2, sizes rounded up.
  std::function<std::shared_ptr<Layer>(int64_t number, int64_t in, int64_t out)> merging = nullptr;
  /// To decoder stage `number` from the one below; null: interpolation to the size of the skip.
  std::function<std::shared_ptr<Layer>(int64_t number, int64_t in, int64_t out)> expanding = nullptr;
  int64_t last_merging = 4, first_expanding = 4;  ///< numbers that have them
  bool pointwise_heads = false;                   ///< of edge 1, under ".conv", else of edge 3
  bool heads_at_full_size = false;                ///< the scores of all scales are interpolated
  bool joins_even = false;                        ///< the small variant's decoder has concat_back_dim too
};

/// Prefixes "stage1" to "stage6", "patch_merging1", ..., "stage5d" to "stage1d", "patch_expand4d", ...,
/// "concat_back_dim4d", ... (where they are joined), "side1" to "side6", "outconv".
/// All scores: the joined ones, then those of each scale, finest first.
class X2Net : public Network {
 public:
  X2Net(const X2NetSettings& settings, const X2NetParts& parts);
  /// nnU-Net's values for convolutions, the depthwise ones too.
  void start_convolutions();

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  X2NetSettings settings_;
  bool heads_at_full_size_;
  std::vector<std::shared_ptr<Layer>> encoder_, merging_;            ///< finest first
  std::vector<std::shared_ptr<Layer>> decoder_, expanding_, heads_;  ///< coarsest first; heads: finest first
  std::vector<std::shared_ptr<Linear>> join_;                        ///< coarsest first
  std::shared_ptr<Layer> out_;
};

/// The arguments that their constructors share: in_ch, out_ch, deep_supervision.
void read_x2net_arguments(const Json& arguments, X2NetSettings& settings);

/// UsageError unless the argument spatial_dims is 2.
void require_plane(const Json& arguments);

constexpr const char* kX2NetRepository = "AI-in-Cardiovascular-Medicine/nnUZoo";
constexpr const char* kX2NetSource =
    "From Claims to Evidence: A Unified Framework and Critical Analysis of CNN vs. Transformer vs. Mamba in "
    "Medical Image Segmentation, 2025; github.com/AI-in-Cardiovascular-Medicine/nnUZoo";

}  // namespace mambaseg
