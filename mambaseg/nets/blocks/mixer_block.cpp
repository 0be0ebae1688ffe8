#include "mambaseg/nets/blocks/mixer_block.h"

namespace mambaseg {

MixerMlp::MixerMlp(int64_t width, int64_t hidden, double dropout)
    : first_(std::make_shared<Linear>(width, hidden)),
      second_(std::make_shared<Linear>(hidden, width)),
      dropout_(register_module("dropout", std::make_shared<Dropout>(dropout))) {
  const auto net = register_module("net", std::make_shared<torch::nn::Module>());
  net->register_module("0", first_);
  net->register_module("3", second_);
}

MixerMlp::MixerMlp(int64_t width, int64_t hidden, double dropout, const char* first, const char* second)
    : first_(register_module(first, std::make_shared<Linear>(width, hidden))),
      second_(register_module(second, std::make_shared<Linear>(hidden, width))),
      dropout_(register_module("dropout", std::make_shared<Dropout>(dropout))) {}

torch::Tensor MixerMlp::forward(const torch::Tensor& x) {
  const torch::Tensor hidden = dropout_->forward(first_->run(x, {Activation::gelu, {}}));
  return dropout_->forward(second_->forward(hidden));
}

MixerBlock::MixerBlock(const MixerBlockSettings& s, std::shared_ptr<Layer> mixer, std::shared_ptr<Layer> mlp)
    : norm1_(register_module(s.names.norm1, std::make_shared<LayerNorm>(s.width, s.norm_eps))),
      path_(register_module("drop_path", std::make_shared<DropPath>(s.drop_path))),
      mixer_(register_module(s.names.mixer, std::move(mixer))),
      mlp_(std::move(mlp)) {
  if (!mlp_ && s.mlp_hidden == 0) return;
  norm2_ = register_module(s.names.norm2, std::make_shared<LayerNorm>(s.width, s.norm_eps));
  if (!mlp_)
    mlp_ = s.names.first == nullptr ? std::make_shared<MixerMlp>(s.width, s.mlp_hidden, s.mlp_dropout)
                                    : std::make_shared<MixerMlp>(s.width, s.mlp_hidden, s.mlp_dropout,
                                                                 s.names.first, s.names.second);
  register_module(s.names.mlp, mlp_);
}

torch::Tensor MixerBlock::compute(const torch::Tensor& x) {
  const torch::Tensor mixed = x + path_->forward(mixer_->forward(norm1_->forward(x)));
  return mlp_ ? mixed + path_->forward(mlp_->forward(norm2_->forward(mixed))) : mixed;
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
