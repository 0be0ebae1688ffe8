#include "mambaseg/nets/blocks/mixer_block.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/normalization.h>

namespace mambaseg {
namespace nn = torch::nn;

MixerMlp::MixerMlp(int64_t width, int64_t hidden, double dropout)
    : net_(register_module("net", Sequential(Linear(width, hidden), nn::GELU(), nn::Dropout(dropout),
                                             Linear(hidden, width), nn::Dropout(dropout)))) {}

torch::Tensor MixerMlp::forward(const torch::Tensor& x) { return net_->forward(x); }

MixerBlock3d::MixerBlock3d(const MixerBlockSettings& settings, std::shared_ptr<TokenModule> mixer)
    : drop_path_(settings.drop_path), mixer_(std::move(mixer)) {
  const nn::LayerNormOptions norm = nn::LayerNormOptions({settings.width}).eps(settings.norm_eps);
  ln_1_ = register_module("ln_1", LayerNorm(norm));
  register_module("self_attention", mixer_);
  if (settings.mlp_hidden == 0) return;
  ln_2_ = register_module("ln_2", LayerNorm(norm));
  mlp_ = register_module(
      "mlp", std::make_shared<MixerMlp>(settings.width, settings.mlp_hidden, settings.mlp_dropout));
}

torch::Tensor MixerBlock3d::path(const torch::Tensor& branch) const {
  if (!is_training() || drop_path_ == 0) return branch;
  const double keep = 1 - drop_path_;
  std::vector<int64_t> per_sample(static_cast<size_t>(branch.dim()), 1);
  per_sample[0] = branch.size(0);
  const torch::Tensor kept = torch::empty(per_sample, branch.options()).bernoulli_(keep);
  return branch * (keep > 0 ? kept / keep : kept);
}

torch::Tensor MixerBlock3d::forward(const torch::Tensor& x) {
  const torch::Tensor mixed = x + path(mixer_->forward(ln_1_->forward(x)));
  return mlp_ ? mixed + path(mlp_->forward(ln_2_->forward(mixed))) : mixed;
}

MixerStack3d::MixerStack3d(std::vector<std::shared_ptr<TokenModule>> blocks) : blocks_(std::move(blocks)) {
  nn::ModuleList list;
  for (const auto& block : blocks_) list->push_back(std::static_pointer_cast<nn::Module>(block));
  register_module("blocks", list);
}

torch::Tensor MixerStack3d::forward(const torch::Tensor& x) {
  torch::Tensor y = x;
  for (const auto& block : blocks_) y = block->forward(y);
  return y;
}

}  // namespace mambaseg
