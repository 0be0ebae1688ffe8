#include "mambaseg/nets/blocks/lightm_blocks.h"

#include "mambaseg/nets/blocks/unetr_blocks.h"

namespace mambaseg {

std::shared_ptr<Sequence> separable_conv(int64_t dims, int64_t in, int64_t out, int64_t edge, bool bias) {
  return sequence({std::make_shared<MonaiConvolution>(depthwise(dims, in, edge, {.bias = bias})),
                   std::make_shared<MonaiConvolution>(conv(dims, in, out, 1, {.bias = bias}))});
}

std::shared_ptr<PvmLayer> rvm_layer(int64_t dims, int64_t in, int64_t out, int64_t states) {
  return std::make_shared<PvmLayer>(
      PvmSettings{.in = in, .out = out, .dims = dims, .chunks = 1, .states = states, .normed_skip = false});
}

ScaledConvBlock::ScaledConvBlock(int64_t dims, int64_t width)
    : norm1_(register_module("norm1", std::make_shared<GroupNorm>(kLightmGroups, width))),
      norm2_(register_module("norm2", std::make_shared<GroupNorm>(kLightmGroups, width))),
      conv_(register_module("conv", separable_conv(dims, width, width))),
      skip_scale_(register_parameter("skip_scale", torch::ones({1}))) {}

torch::Tensor ScaledConvBlock::forward(const torch::Tensor& x) {
  const torch::Tensor y = conv_->forward(norm1_->run(x, {Activation::relu, {}}));
  return norm2_->run(y + (skip_scale_ * x).to(y.scalar_type()), {Activation::relu, {}});
}

}  // namespace mambaseg
