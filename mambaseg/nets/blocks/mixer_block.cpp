#include "mambaseg/nets/blocks/mixer_block.h"

namespace mambaseg {

MixerMlp::MixerMlp(int64_t width, int64_t hidden, double dropout)
    : net_(register_module(
          "net", sequence({std::make_shared<Linear>(width, hidden), activation(Activation::gelu),
                           std::make_shared<Dropout>(dropout), std::make_shared<Linear>(hidden, width),
                           std::make_shared<Dropout>(dropout)}))) {}

torch::Tensor MixerMlp::forward(const torch::Tensor& x) { return net_->forward(x); }

MixerBlock3d::MixerBlock3d(const MixerBlockSettings& settings, std::shared_ptr<Layer> mixer)
    : ln_1_(register_module("ln_1", std::make_shared<LayerNorm>(settings.width, settings.norm_eps))),
      path_(register_module("drop_path", std::make_shared<DropPath>(settings.drop_path))),
      mixer_(register_module("self_attention", std::move(mixer))) {
  if (settings.mlp_hidden == 0) return;
  ln_2_ = register_module("ln_2", std::make_shared<LayerNorm>(settings.width, settings.norm_eps));
  mlp_ = register_module(
      "mlp", std::make_shared<MixerMlp>(settings.width, settings.mlp_hidden, settings.mlp_dropout));
}

torch::Tensor MixerBlock3d::forward(const torch::Tensor& x) {
  const torch::Tensor mixed = x + path_->forward(mixer_->forward(ln_1_->forward(x)));
  return mlp_ ? mixed + path_->forward(mlp_->forward(ln_2_->forward(mixed))) : mixed;
}

MixerStack3d::MixerStack3d(std::vector<std::shared_ptr<Layer>> blocks) : blocks_(std::move(blocks)) {
  register_list(*this, "blocks", blocks_);
}

torch::Tensor MixerStack3d::forward(const torch::Tensor& x) {
  torch::Tensor y = x;
  for (const auto& block : blocks_) y = block->forward(y);
  return y;
}

}  // namespace mambaseg
