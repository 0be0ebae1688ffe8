#include "mambaseg/nets/blocks/umamba.h"

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/res_block.h"

#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>

namespace mambaseg {

UMambaLayer::UMambaLayer(const MambaSettings& mamba, bool channel_tokens)
    : width_(mamba.width),
      channel_tokens_(channel_tokens),
      norm_(register_module("norm", std::make_shared<LayerNorm>(mamba.width))),
      mamba_(register_module("mamba", std::make_shared<Mamba>(mamba))) {}

torch::Tensor UMambaLayer::forward(const torch::Tensor& x) {
  // fp16 gives NaN here (remark of the authors), so mixed precision is left for the length of this layer.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const torch::Tensor whole = x.to(torch::kFloat);
  const torch::Tensor tokens = channel_tokens_ ? whole.flatten(2) : whole.movedim(1, -1);
  require(tokens.size(-1) == width_, "umamba_enc: a stage has ", tokens.size(-1),
          " voxels, but its channel tokens were made for ", width_,
          "; use patches of the size in the setting `patch`");
  const torch::Tensor y = mamba_->forward(norm_->forward(tokens));
  return (channel_tokens_ ? y.reshape(x.sizes()) : y.movedim(-1, 1)).to(x.scalar_type());
}

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

UMambaEncoder::UMambaEncoder(const UMambaSettings& s, std::vector<std::shared_ptr<UMambaLayer>> layers)
    : layers_(std::move(layers)) {
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
  if (!layers_.empty()) register_list(*this, "mamba_layers", layers_);
}

std::vector<torch::Tensor> UMambaEncoder::forward(const torch::Tensor& x) {
  std::vector<torch::Tensor> skips;
  torch::Tensor y = stem_->forward(x);
  for (size_t s = 0; s < stages_.size(); ++s) {
    y = stages_[s]->forward(y);
    if (!layers_.empty() && layers_[s]) y = layers_[s]->forward(y);
    skips.push_back(y);
  }
  return skips;
}

class UMambaDecoder : public Module {
 public:
  explicit UMambaDecoder(const UMambaSettings& s) : joins_last_skip_(s.dimension == 3) {
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

UMamba::UMamba(const UMambaSettings& settings, std::vector<std::shared_ptr<UMambaLayer>> layers,
               std::shared_ptr<UMambaLayer> bottleneck)
    : settings_(settings),
      encoder_(register_module("encoder", std::make_shared<UMambaEncoder>(settings, std::move(layers)))),
      decoder_(register_module("decoder", std::make_shared<UMambaDecoder>(settings))),
      bottleneck_(std::move(bottleneck)) {
  if (bottleneck_) register_module("mamba_layer", bottleneck_);
}

std::vector<torch::Tensor> UMamba::scores(const torch::Tensor& x) {
  std::vector<torch::Tensor> skips = encoder_->forward(x);
  if (bottleneck_) skips.back() = bottleneck_->forward(skips.back());
  return decoder_->forward(skips, wants_all_scales() && settings_.deep_supervision);
}

void read_umamba_arguments(const Json& arguments, UMambaSettings& settings) {
  read_shape(arguments, settings);
  settings.convolutions = stage_numbers(arguments, "n_conv_per_stage");
  settings.decoder_convolutions = stage_numbers(arguments, "n_conv_per_stage_decoder");
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
