#include "mambaseg/nets/blocks/attention_gate.h"

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/norm.h"

namespace mambaseg {

AttentionGate::AttentionGate(int64_t g_channels, int64_t x_channels, int64_t inner) {
  const auto norm = [](int64_t channels) { return std::make_shared<BatchNorm>(channels); };
  w_g_ = register_module("W_g", sequence({conv(2, g_channels, inner, 1), norm(inner)}));
  w_x_ = register_module("W_x", sequence({conv(2, x_channels, inner, 1), norm(inner)}));
  psi_ = register_module("psi", sequence({conv(2, inner, 1, 1), norm(1), activation(Activation::sigmoid)}));
}

torch::Tensor AttentionGate::forward(const torch::Tensor& g, const torch::Tensor& x) {
  return x * psi_->forward(torch::relu(w_g_->forward(g) + w_x_->forward(x)));
}

}  // namespace mambaseg
