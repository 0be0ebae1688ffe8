#pragma once

#include <functional>

#include "mambaseg/config/config.h"
#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/recompute.h"
#include "mambaseg/nets/layers/resampling.h"

/// What the networks that live in nnU-Net share (plain and residual-encoder U-Net, U-Mamba): their shape and
/// the blocks of dynamic-network-architectures (Isensee et al.), module names included.
namespace mambaseg {

/// Scales, widths and blocks of a U-Net as an nnU-Net plan states them. The defaults are the plan of a 128^3
/// patch.
struct UNetShape {
  int64_t dimension = 3;
  int64_t in_channels = 1;
  int64_t classes = 2;
  std::vector<int64_t> features{32, 64, 128, 256, 320, 320};
  std::vector<Extent> kernels;
  std::vector<Extent> strides;
  bool deep_supervision = true;

  void describe(SettingsVisitor& visit) {
    visit("dims", dimension, "spatial dimensions, 2 or 3", between(2, 3));
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("features", features, "channels of each stage, full resolution first", at_least(1));
    visit("kernels", kernels,
          "kernel edges of each stage, one list an axis order as the image; empty: 3 everywhere",
          at_least(1));
    visit("strides", strides, "downsampling into each stage along each axis; empty: 1, then 2 everywhere",
          at_least(1));
    visit("deep_supervision", deep_supervision, "scores of the coarser scales too while training");
  }

  int64_t stages() const { return static_cast<int64_t>(features.size()); }
  Extent kernel(int64_t stage) const;
  Extent stride(int64_t stage) const;
  /// What the size of each axis must be a multiple of: all its strides.
  Extent size_multiples() const;
  /// UsageError unless there are two stages at least and the lists fit the stages and the dimension.
  void check() const;
};

/// `given` brought to `count` numbers: one number stands for all. UsageError naming `what` when the length
/// does not fit.
std::vector<int64_t> per_stage(const std::vector<int64_t>& given, int64_t count, const char* what);

/// What an argument of the official constructors says of each stage: one number stands for all.
std::vector<int64_t> stage_numbers(const Json& arguments, const char* name);

/// The arguments that all official networks of this frame share: input_channels, num_classes, n_stages,
/// features_per_stage, kernel_sizes, strides, deep_supervision; dimensions by conv_op or dim ("2d"), else by
/// the lists of kernels.
void read_shape(const Json& arguments, UNetShape& shape);

/// The name of an entry of an official state_dict here: the decoder there holds the encoder too
/// (decoder.encoder.*), and convolution blocks list their parts a second time (all_modules.*).
std::string nnunet_name(const std::string& official);

/// Settings that start as nnU-Net has it.
ConvolutionSettings nnunet_convolution(const Extent& stride = {});

/// A 1x1 convolution that starts so.
std::shared_ptr<Convolution> nnunet_pointwise(int64_t dims, int64_t in, int64_t out);

/// Leaky ReLU of slope 0.01, as nnU-Net uses it everywhere.
torch::Tensor leaky(const torch::Tensor& x);

/// Convolution, instance norm, leaky ReLU; the last is optional. Prefixes "conv" and "norm".
class ConvNormAct : public Layer {
 public:
  ConvNormAct(int64_t in, int64_t out, const Extent& kernel, const ConvolutionSettings& convolution,
              bool activation = true);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<Convolution> conv_;
  std::shared_ptr<InstanceNorm> norm_;
  bool activation_;
};

/// `count` ConvNormAct, the first with the stride. Prefixes "convs.0", "convs.1", ...
class ConvStack : public RecomputableLayer {
 public:
  ConvStack(int64_t count, int64_t in, int64_t out, const Extent& kernel, const Extent& stride);
  /// Puts `layer` behind the convolutions, with its name as prefix.
  void then(const char* name, std::shared_ptr<Layer> layer);

 private:
  torch::Tensor compute(const torch::Tensor& x) override;

  std::shared_ptr<Layer> behind_;
  std::vector<std::shared_ptr<ConvNormAct>> convs_;
};

/// Squeeze and excitation with biases, a sixteenth of the channels in the middle, rounded to eights. The mean
/// runs over the first two spatial axes only, also in 3-D, as the official code has it. Prefixes "fc1",
/// "fc2".
class SqueezeExcite : public Layer {
 public:
  SqueezeExcite(int64_t dimension, int64_t channels);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<Convolution> fc1_, fc2_;
};

/// BasicBlockD (ResNet-D, He et al. 2019): two convolutions with norm, the sum with the (average-pooled,
/// projected) input, leaky ReLU. Prefixes "conv1", "conv2", "squeeze_excitation", "skip.0" or "skip.1"
/// (behind the pooling).
class BasicBlockD : public RecomputableLayer {
 public:
  BasicBlockD(int64_t in, int64_t out, const Extent& kernel, const Extent& stride,
              bool squeeze_excitation = false);
  /// The sum starts as the skip alone: scale of the norm before it 0.
  void silence();

 private:
  torch::Tensor compute(const torch::Tensor& x) override;

  Extent stride_;
  bool strided_;
  std::shared_ptr<ConvNormAct> conv1_, conv2_, projection_;
  std::shared_ptr<SqueezeExcite> squeeze_excitation_;
};

/// Residual blocks one after the other, the first with the stride. Prefix "blocks".
class ResidualStage : public Layer {
 public:
  ResidualStage(int64_t count, int64_t in, int64_t out, const Extent& kernel, const Extent& stride = {},
                bool squeeze_excitation = false);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::vector<std::shared_ptr<BasicBlockD>> blocks_;
};

/// Stem and stages of residual blocks of nnU-Net's U-Nets. Prefixes "stem", "stages"; what stands behind the
/// stages is registered by the network.
class ResidualEncoder : public Module {
 public:
  ResidualEncoder(const UNetShape& shape, const std::vector<int64_t>& blocks,
                  bool squeeze_excitation = false);
  /// The output of every stage, full resolution first, as `behind` (stage, output) leaves it; that also goes
  /// on to the next stage.
  std::vector<torch::Tensor> forward(
      const torch::Tensor& x, const std::function<torch::Tensor(size_t, const torch::Tensor&)>& behind = {});

 private:
  std::shared_ptr<ConvStack> stem_;
  std::vector<std::shared_ptr<ResidualStage>> stages_;
};

/// Decoder of nnU-Net's U-Nets: transposed convolution, skip beside it, convolutions (or residual blocks),
/// 1x1 convolution to scores, at every stage. Prefixes "stages", "transpconvs", "seg_layers", coarsest stage
/// first.
class NnunetDecoder : public Module {
 public:
  NnunetDecoder(const UNetShape& shape, const std::vector<int64_t>& convolutions, bool residual = false);
  /// skips: output of each encoder stage, full resolution first -> scores, full resolution first; all scales
  /// or the first.
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& skips, bool all_scales);
  /// Coarsest first: ConvStack, or what residual stages are.
  const std::vector<std::shared_ptr<Layer>>& stages() const { return stages_; }

 private:
  std::vector<std::shared_ptr<TransposedConvolution>> transpconvs_;
  std::vector<std::shared_ptr<Layer>> stages_;
  std::vector<std::shared_ptr<Convolution>> seg_layers_;
};

}  // namespace mambaseg
