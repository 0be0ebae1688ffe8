// U-Mamba (Ma, Li, Wang 2024), both variants, in 2-D and 3-D: a U-Net of residual blocks in nnU-Net's frame
// with a Mamba layer on the deepest features ("Bot") or after encoder stages ("Enc"). As the official code,
// not as one might write it: stages of the second half have one block, the stem is a stage of its own at full
// resolution, the 2-D decoder does not take the full-resolution skip, Enc has Mamba at every second stage in
// 2-D (the last included) and at every stage in 3-D.

#include "mambaseg/nets/umamba.h"

#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <algorithm>
#include <functional>
#include <numeric>

namespace mambaseg {

UMambaLayer::UMambaLayer(const MambaSettings& mamba, bool channel_tokens)
    : width_(mamba.width),
      channel_tokens_(channel_tokens),
      norm_(register_module("norm", LayerNorm(torch::nn::LayerNormOptions({mamba.width})))),
      mamba_(register_module("mamba", std::make_shared<Mamba>(mamba))) {}

torch::Tensor UMambaLayer::forward(const torch::Tensor& x) {
  // fp16 gives NaN here (remark of the authors), so mixed precision is left for the length of this layer.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const torch::Tensor x_BCV = x.flatten(2).to(torch::kFloat);
  const torch::Tensor tokens = channel_tokens_ ? x_BCV : x_BCV.transpose(1, 2);
  require(tokens.size(2) == width_, "umamba_enc: a stage has ", tokens.size(2),
          " voxels, but its channel tokens were made for ", width_,
          "; use patches of the size in the setting `patch`");
  const torch::Tensor y = mamba_->forward(norm_->forward(tokens));
  return (channel_tokens_ ? y : y.transpose(1, 2)).reshape(x.sizes()).to(x.scalar_type());
}

namespace {

/// Convolution (with stride), norm, leaky ReLU, convolution, norm; plus a 1x1 convolution of the input; leaky
/// ReLU. Prefixes conv1, norm1, conv2, norm2, conv3.
class ProjectedBlock : public torch::nn::Module {
 public:
  ProjectedBlock(int64_t in, int64_t out, const Extent& kernel, const Extent& stride)
      : conv1_(register_module("conv1",
                               std::make_shared<Convolution>(ConvolutionSettings{in, out, kernel, stride}))),
        conv2_(register_module("conv2",
                               std::make_shared<Convolution>(ConvolutionSettings{out, out, kernel, {}}))),
        conv3_(register_module("conv3", std::make_shared<Convolution>(
                                            ConvolutionSettings{in, out, Extent(kernel.size(), 1), stride}))),
        norm1_(register_module("norm1", std::make_shared<InstanceNorm>(out))),
        norm2_(register_module("norm2", std::make_shared<InstanceNorm>(out))) {}
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = norm1_->forward(conv1_->forward(x), {Activation::leaky_relu, {}});
    return norm2_->forward(conv2_->forward(y), {Activation::leaky_relu, conv3_->forward(x)});
  }

 private:
  std::shared_ptr<Convolution> conv1_, conv2_, conv3_;
  std::shared_ptr<InstanceNorm> norm1_, norm2_;
};

/// One ProjectedBlock (prefix "0"), then BasicBlockD ("1", "2", ...).
class Stage : public torch::nn::Module {
 public:
  Stage(int64_t count, int64_t in, int64_t out, const Extent& kernel, const Extent& stride)
      : first_(register_module("0", std::make_shared<ProjectedBlock>(in, out, kernel, stride))) {
    for (int64_t i = 1; i < count; ++i)
      rest_.push_back(register_module(
          std::to_string(i), std::make_shared<BasicBlockD>(out, out, kernel, Extent(kernel.size(), 1))));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = first_->forward(x);
    for (const auto& block : rest_) y = block->forward(y);
    return y;
  }

 private:
  std::shared_ptr<ProjectedBlock> first_;
  std::vector<std::shared_ptr<BasicBlockD>> rest_;
};

class Encoder : public torch::nn::Module {
 public:
  explicit Encoder(const UMambaSettings& s) {
    std::vector<int64_t> counts = per_stage(s.convolutions, s.stages(), "convolutions");
    std::fill(counts.begin() + (s.stages() + 1) / 2, counts.end(), 1);
    int64_t in = s.features[0];
    const Extent still(static_cast<size_t>(s.dimension), 1);
    stem_ =
        register_module("stem", std::make_shared<Stage>(counts[0], s.in_channels, in, s.kernel(0), still));
    for (int64_t stage = 0; stage < s.stages(); ++stage) {
      const auto index = static_cast<size_t>(stage);
      stages_.push_back(
          std::make_shared<Stage>(counts[index], in, s.features[index], s.kernel(stage), s.stride(stage)));
      in = s.features[index];
    }
    register_list(*this, "stages", stages_);
  }

  /// A Mamba layer behind `stage`. Prefix mamba_layers.<stage>.
  void add_layer(size_t stage, std::shared_ptr<UMambaLayer> layer) {
    layers_.resize(stages_.size());
    layers_[stage] = std::move(layer);
  }
  /// Call once when all layers are in.
  void finish_layers() {
    if (layers_.empty()) return;
    torch::nn::ModuleList list;
    for (const auto& layer : layers_)
      list->push_back(layer ? std::static_pointer_cast<torch::nn::Module>(layer)
                            : std::make_shared<torch::nn::IdentityImpl>());
    register_module("mamba_layers", list);
  }

  /// The output of every stage, full resolution first.
  std::vector<torch::Tensor> forward(const torch::Tensor& x) {
    std::vector<torch::Tensor> skips;
    torch::Tensor y = stem_->forward(x);
    for (size_t s = 0; s < stages_.size(); ++s) {
      y = stages_[s]->forward(y);
      if (!layers_.empty() && layers_[s]) y = layers_[s]->forward(y);
      skips.push_back(y);
    }
    return skips;
  }

 private:
  std::shared_ptr<Stage> stem_;
  std::vector<std::shared_ptr<Stage>> stages_;
  std::vector<std::shared_ptr<UMambaLayer>> layers_;
};

/// Nearest neighbour by the stride, then a 1x1 convolution. Prefix "conv".
class Upsampling : public torch::nn::Module {
 public:
  Upsampling(int64_t in, int64_t out, const Extent& factor)
      : factor_(factor),
        conv_(register_module("conv", pointwise_convolution(static_cast<int64_t>(factor.size()), in, out))) {}
  torch::Tensor forward(const torch::Tensor& x) {
    // A 1x1 convolution and the repetition of voxels may change places: the convolution sees the small grid.
    return nearest_upsampled(conv_->forward(x), factor_);
  }

 private:
  Extent factor_;
  std::shared_ptr<Convolution> conv_;
};

class Decoder : public torch::nn::Module {
 public:
  explicit Decoder(const UMambaSettings& s) : joins_last_skip_(s.dimension == 3) {
    const int64_t count = s.stages() - 1;
    std::vector<int64_t> counts = per_stage(s.decoder_convolutions, count, "decoder_convolutions");
    // The official bound is ceil(count / 2 + 0.5).
    for (int64_t i = (count + 2) / 2; i < count; ++i) counts[static_cast<size_t>(i)] = 1;
    for (int64_t below = count; below > 0; --below) {
      const int64_t in = s.features[static_cast<size_t>(below)],
                    out = s.features[static_cast<size_t>(below - 1)];
      const bool join = below > 1 || joins_last_skip_;
      upsample_layers_.push_back(std::make_shared<Upsampling>(in, out, s.stride(below)));
      stages_.push_back(std::make_shared<Stage>(counts[stages_.size()], join ? 2 * out : out, out,
                                                s.kernel(below - 1),
                                                Extent(static_cast<size_t>(s.dimension), 1)));
      seg_layers_.push_back(pointwise_convolution(s.dimension, out, s.classes));
    }
    register_list(*this, "upsample_layers", upsample_layers_);
    register_list(*this, "stages", stages_);
    register_list(*this, "seg_layers", seg_layers_);
  }

  /// As NnunetDecoder::forward.
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& skips, bool all_scales) {
    std::vector<torch::Tensor> scores;
    torch::Tensor x = skips.back();
    for (size_t s = 0; s < stages_.size(); ++s) {
      const bool last = s + 1 == stages_.size();
      x = upsample_layers_[s]->forward(x);
      if (!last || joins_last_skip_) x = torch::cat({x, skips[skips.size() - 2 - s]}, 1);
      x = stages_[s]->forward(x);
      if (all_scales || last) scores.push_back(seg_layers_[s]->forward(x));
    }
    std::reverse(scores.begin(), scores.end());
    return scores;
  }

 private:
  bool joins_last_skip_;
  std::vector<std::shared_ptr<Upsampling>> upsample_layers_;
  std::vector<std::shared_ptr<Stage>> stages_;
  std::vector<std::shared_ptr<Convolution>> seg_layers_;
};

class UMamba : public Network {
 public:
  UMamba(const UMambaSettings& settings, std::shared_ptr<Encoder> encoder,
         std::shared_ptr<UMambaLayer> bottleneck)
      : settings_(settings),
        encoder_(register_module("encoder", std::move(encoder))),
        decoder_(register_module("decoder", std::make_shared<Decoder>(settings))),
        bottleneck_(std::move(bottleneck)) {
    if (bottleneck_) register_module("mamba_layer", bottleneck_);
  }
  std::vector<torch::Tensor> forward(const torch::Tensor& x) override {
    std::vector<torch::Tensor> skips = encoder_->forward(x);
    if (bottleneck_) skips.back() = bottleneck_->forward(skips.back());
    return decoder_->forward(skips, is_training() && settings_.deep_supervision);
  }
  int64_t size_multiple() const override { return settings_.size_multiple(); }

 private:
  UMambaSettings settings_;
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<UMambaLayer> bottleneck_;
};

MambaSettings mamba_of(int64_t width) {
  MambaSettings settings;
  settings.width = width;
  return settings;
}

constexpr const char* kSource = "Ma, Li, Wang: U-Mamba, 2024, github.com/bowang-lab/U-Mamba";

}  // namespace

std::shared_ptr<Network> make_umamba_bot(const UMambaSettings& s) {
  s.check();
  std::shared_ptr<UMambaLayer> layer;
  if (s.mamba) layer = std::make_shared<UMambaLayer>(mamba_of(s.features.back()), false);
  return std::make_shared<UMamba>(s, std::make_shared<Encoder>(s), layer);
}

std::shared_ptr<Network> make_umamba_enc(const UMambaEncSettings& s) {
  s.check();
  Extent grid = s.patch.empty() ? Extent(static_cast<size_t>(s.dimension), 128) : s.patch;
  if (static_cast<int64_t>(grid.size()) != s.dimension)
    throw UsageError(concat("network: patch has ", grid.size(), " numbers, expected ", s.dimension));
  auto encoder = std::make_shared<Encoder>(s);
  for (int64_t stage = 0; s.mamba && stage < s.stages(); ++stage) {
    const Extent stride = s.stride(stage);
    for (size_t axis = 0; axis < grid.size(); ++axis) grid[axis] /= stride[axis];
    const int64_t voxels = std::accumulate(grid.begin(), grid.end(), int64_t{1}, std::multiplies<>());
    const int64_t channels = s.features[static_cast<size_t>(stage)];
    const bool channel_tokens = voxels <= channels;
    if (voxels < 1)
      throw UsageError(concat("network: a patch of this size has no voxel left at stage ", stage));
    if (s.dimension == 2 && stage % 2 == s.stages() % 2) continue;
    encoder->add_layer(
        static_cast<size_t>(stage),
        std::make_shared<UMambaLayer>(mamba_of(channel_tokens ? voxels : channels), channel_tokens));
  }
  encoder->finish_layers();
  auto network = std::make_shared<UMamba>(s, encoder, nullptr);
  for (const auto& part : network->modules())
    if (auto* block = part->as<BasicBlockD>()) block->silence();
  return network;
}

NetworkEntry umamba_bot_entry() {
  return {"umamba_bot",
          {3, 2},
          kSource,
          "residual U-Net with a Mamba layer on the deepest features",
          42'120'394,
          [](const Json& settings) { return make_umamba_bot(from_json<UMambaSettings>(settings)); },
          [] { return to_json(UMambaSettings{}); },
          [] { return documentation<UMambaSettings>(); },
          [] {
            return Json{{"classes", 3}, {"features", {4, 6, 8}}, {"_edge", 8}};
          }};
}

NetworkEntry umamba_enc_entry() {
  return {"umamba_enc",
          {3, 2},
          kSource,
          "residual U-Net with a Mamba layer after encoder stages",
          42'750'922,
          [](const Json& settings) { return make_umamba_enc(from_json<UMambaEncSettings>(settings)); },
          [] { return to_json(UMambaEncSettings{}); },
          [] { return documentation<UMambaEncSettings>(); },
          [] {
            return Json{{"classes", 3}, {"features", {4, 6, 8}}, {"_edge", 8}};
          }};
}

}  // namespace mambaseg
