#include "mambaseg/nets/blocks/umamba.h"

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/res_block.h"

#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <functional>
#include <numeric>

namespace mambaseg {

torch::Tensor VoxelTokens::forward(const torch::Tensor& x) {
  // fp16 gives NaN here (remark of U-Mamba's authors), so mixed precision is left for the length of this
  // layer.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const torch::Tensor whole = x.scalar_type() == torch::kDouble ? x : x.to(torch::kFloat);
  const torch::Tensor tokens = channel_tokens_ ? whole.flatten(2) : whole.movedim(1, -1);
  require(tokens.size(-1) == width_, "network: a stage has ", tokens.size(-1),
          " voxels, but its channel tokens were made for ", width_,
          "; use patches of the size in the setting `patch`");
  const torch::Tensor y = mixed(tokens);
  return (channel_tokens_ ? y.reshape(x.sizes()) : y.movedim(-1, 1)).to(x.scalar_type());
}

UMambaLayer::UMambaLayer(const MambaSettings& mamba, bool channel_tokens)
    : VoxelTokens(mamba.width, channel_tokens),
      norm_(register_module("norm", std::make_shared<LayerNorm>(mamba.width))),
      mamba_(register_module("mamba", std::make_shared<Mamba>(mamba))) {}

namespace {

/// One projecting ResBlock (prefix "0"), then BasicBlockD ("1", "2", ...).
class Stage : public Layer {
 public:
  Stage(int64_t count, int64_t in, int64_t out, const Extent& kernel, const Extent& stride)
      : first_(register_module("0", std::make_shared<ResBlock>(in, out, kernel, stride))) {
    for (int64_t i = 1; i < count; ++i)
      rest_.push_back(register_module(
          std::to_string(i), std::make_shared<BasicBlockD>(out, out, kernel, Extent(kernel.size(), 1))));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor y = first_->forward(x);
    for (const auto& block : rest_) y = block->forward(y);
    return y;
  }

 private:
  std::shared_ptr<ResBlock> first_;
  std::vector<std::shared_ptr<BasicBlockD>> rest_;
};

}  // namespace

/// Stem and stages; mixers may stand behind stages.
class UMambaEncoder : public Module {
 public:
  UMambaEncoder(const UMambaShape& s, const UMambaMixers& mixers) : mixers_(mixers.stages) {
    std::vector<int64_t> counts = per_stage(s.convolutions, s.stages(), "convolutions");
    std::fill(counts.begin() + (s.stages() + 1) / 2, counts.end(), 1);
    int64_t in = s.features[0];
    stem_ = register_module(
        "stem", std::make_shared<Stage>(counts[0], s.in_channels, in, s.kernel(0), cube(s.dimension, 1)));
    for (int64_t stage = 0; stage < s.stages(); ++stage) {
      const auto index = static_cast<size_t>(stage);
      stages_.push_back(
          std::make_shared<Stage>(counts[index], in, s.features[index], s.kernel(stage), s.stride(stage)));
      in = s.features[index];
    }
    register_list(*this, "stages", stages_);
    if (!mixers_.empty()) register_list(*this, mixers.stages_name, mixers_);
  }

  /// The output of every stage, full resolution first.
  std::vector<torch::Tensor> forward(const torch::Tensor& x) {
    std::vector<torch::Tensor> skips;
    torch::Tensor y = stem_->forward(x);
    for (size_t s = 0; s < stages_.size(); ++s) {
      y = stages_[s]->forward(y);
      if (!mixers_.empty() && mixers_[s]) y = mixers_[s]->forward(y);
      skips.push_back(y);
    }
    return skips;
  }

 private:
  std::shared_ptr<Layer> stem_;
  std::vector<std::shared_ptr<Layer>> stages_, mixers_;
};

class UMambaDecoder : public Module {
 public:
  explicit UMambaDecoder(const UMambaShape& s) : joins_last_skip_(s.dimension == 3) {
    const int64_t count = s.stages() - 1;
    std::vector<int64_t> counts = per_stage(s.decoder_convolutions, count, "decoder_convolutions");
    // The official bound is ceil(count / 2 + 0.5).
    for (int64_t i = (count + 2) / 2; i < count; ++i) counts[static_cast<size_t>(i)] = 1;
    for (int64_t below = count; below > 0; --below) {
      const int64_t in = s.features[static_cast<size_t>(below)],
                    out = s.features[static_cast<size_t>(below - 1)];
      const bool join = below > 1 || joins_last_skip_;
      upsample_layers_.push_back(std::make_shared<NearestGrowth>(in, out, s.stride(below)));
      stages_.push_back(std::make_shared<Stage>(counts[stages_.size()], join ? 2 * out : out, out,
                                                s.kernel(below - 1),
                                                Extent(static_cast<size_t>(s.dimension), 1)));
      seg_layers_.push_back(nnunet_pointwise(s.dimension, out, s.classes));
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
  std::vector<std::shared_ptr<NearestGrowth>> upsample_layers_;
  std::vector<std::shared_ptr<Stage>> stages_;
  std::vector<std::shared_ptr<Convolution>> seg_layers_;
};

UMamba::UMamba(const UMambaShape& shape, UMambaMixers mixers)
    : shape_(shape),
      encoder_(register_module("encoder", std::make_shared<UMambaEncoder>(shape, mixers))),
      decoder_(register_module("decoder", std::make_shared<UMambaDecoder>(shape))),
      bottleneck_(std::move(mixers.bottleneck)) {
  if (bottleneck_) register_module(mixers.bottleneck_name, bottleneck_);
}

std::vector<torch::Tensor> UMamba::scores(const torch::Tensor& x) {
  std::vector<torch::Tensor> skips = encoder_->forward(x);
  if (bottleneck_) skips.back() = bottleneck_->forward(skips.back());
  return decoder_->forward(skips, wants_all_scales() && shape_.deep_supervision);
}

void read_umamba_arguments(const Json& arguments, UMambaShape& shape) {
  read_shape(arguments, shape);
  shape.convolutions = stage_numbers(arguments, "n_conv_per_stage");
  shape.decoder_convolutions = stage_numbers(arguments, "n_conv_per_stage_decoder");
}

std::vector<int64_t> stage_voxels(const UNetShape& shape, const Extent& patch) {
  Extent grid = patch.empty() ? cube(shape.dimension, 128) : patch;
  if (static_cast<int64_t>(grid.size()) != shape.dimension)
    throw UsageError(concat("network: patch has ", grid.size(), " numbers, expected ", shape.dimension));
  std::vector<int64_t> voxels;
  for (int64_t stage = 0; stage < shape.stages(); ++stage) {
    const Extent stride = shape.stride(stage);
    for (size_t axis = 0; axis < grid.size(); ++axis) grid[axis] /= stride[axis];
    voxels.push_back(std::accumulate(grid.begin(), grid.end(), int64_t{1}, std::multiplies<>()));
    if (voxels.back() < 1)
      throw UsageError(concat("network: a patch of this size has no voxel left at stage ", stage));
  }
  return voxels;
}

std::vector<OfficialBlock> official_umamba_layer() {
  const auto make = [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
    MambaSettings s;
    s.width = a.at("dim");
    s.states = argument(a, "d_state", s.states);
    s.conv_kernel = argument(a, "d_conv", s.conv_kernel);
    s.expand = argument(a, "expand", s.expand);
    return std::make_shared<UMambaLayer>(s, argument(a, "channel_token", false));
  };
  std::vector<std::string> names;
  for (const std::string file : {"UMambaBot_2d", "UMambaBot_3d", "UMambaEnc_2d", "UMambaEnc_3d"})
    for (const std::string mode : {"", "(channel_token=True)"}) names.push_back(file + ".MambaLayer" + mode);
  return {{"bowang-lab/U-Mamba", names, make}};
}

}  // namespace mambaseg
