#include "mambaseg/nets/blocks/swin_umamba_d.h"

#include <algorithm>
#include <utility>

namespace mambaseg {

SwinUMambaD::SwinUMambaD(const SwinUMambaDSettings& s, const MakeVssStage& make) : settings_(s) {
  encoder_ = register_module("vssm_encoder", std::make_shared<VssEncoder>(s));
  const auto& w = s.widths;
  const std::vector<int64_t> depths(w.size() - 1, s.decoder_depth);
  std::vector<double> falling =
      rising_drop_path(static_cast<int64_t>(depths.size()) * s.decoder_depth, s.drop_path);
  std::reverse(falling.begin(), falling.end());
  const auto chances = by_scale(falling, depths);
  for (size_t i = w.size() - 1; i-- > 0;) {
    grow_.push_back(std::make_shared<PatchExpand2d>(w[i + 1], 2));
    join_.push_back(std::make_shared<Linear>(2 * w[i], w[i]));
    const size_t stage = stages_.size();
    stages_.push_back(make ? make(stage, w[i], chances[stage])
                           : std::make_shared<VssStage>(w[i], s.states, chances[stage]));
    heads_.push_back(conv(2, w[i], s.classes, 1));
  }
  grow_.push_back(std::make_shared<PatchExpand2d>(w[0], s.patch, w[0]));
  heads_.push_back(conv(2, w[0], s.classes, 1));
  const auto decoder = register_module("decoder", std::make_shared<torch::nn::Module>());
  register_list(*decoder, "expand_layers", grow_);
  register_list(*decoder, "concat_back_dim", join_);
  register_list(*decoder, "stages", stages_);
  register_list(*decoder, "seg_layers", heads_);
  // The decoder's linear layers keep LibTorch's values; nnU-Net's for convolutions meet the depthwise ones
  // too.
  start_as_vmamba(*encoder_);
  for (const auto& part : modules(/*include_self=*/false))
    if (auto* convolution = dynamic_cast<Convolution*>(part.get()))
      start_weights(Start::nnunet, convolution->weight, convolution->bias);
}

std::vector<torch::Tensor> SwinUMambaD::scores(const torch::Tensor& input) {
  const bool all = wants_all_scales() && settings_.deep_supervision;
  std::vector<torch::Tensor> skips = encoder_->leaving(input), out;
  torch::Tensor x = std::exchange(skips.back(), {});
  for (size_t i = 0; i < grow_.size(); ++i) {
    const bool last = i + 1 == grow_.size();
    x = grow_[i]->forward(x);
    if (!last)
      x = stages_[i]->forward(
          join_[i]->forward(torch::cat({x, std::exchange(skips[stages_.size() - 1 - i], {})}, -1)));
    if (all || last) out.push_back(heads_[i]->forward(x.permute({0, 3, 1, 2})));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace mambaseg
