#include "mambaseg/nets/blocks/resnet.h"

namespace mambaseg {
namespace {

std::shared_ptr<BatchNorm> norm(int64_t channels) { return std::make_shared<BatchNorm>(channels); }

std::shared_ptr<Convolution> plain_conv(int64_t in, int64_t out, int64_t edge, int64_t stride = 1) {
  return conv(2, in, out, edge, {.stride = cube(2, stride), .bias = false});
}

/// What brings the input to the sizes of the result; null where it has them.
std::shared_ptr<Sequence> projection(int64_t in, int64_t out, int64_t stride) {
  if (stride == 1 && in == out) return nullptr;
  return sequence({plain_conv(in, out, 1, stride), norm(out)});
}

}  // namespace

torch::Tensor ResnetPool::forward(const torch::Tensor& x) { return torch::max_pool2d(x, 3, 2, 1); }

ResnetBasicBlock::ResnetBasicBlock(int64_t in, int64_t out, int64_t stride)
    : conv1_(register_module("conv1", plain_conv(in, out, 3, stride))),
      conv2_(register_module("conv2", plain_conv(out, out, 3))),
      bn1_(register_module("bn1", norm(out))),
      bn2_(register_module("bn2", norm(out))),
      downsample_(projection(in, out, stride)) {
  if (downsample_) register_module("downsample", downsample_);
}

torch::Tensor ResnetBasicBlock::forward(const torch::Tensor& x) {
  const torch::Tensor y = normed(*conv1_, *bn1_, x, {Activation::relu, {}});
  return normed(*conv2_, *bn2_, y, {Activation::relu, downsample_ ? downsample_->forward(x) : x});
}

ResnetBottleneck::ResnetBottleneck(int64_t in, int64_t inner, int64_t stride)
    : conv1_(register_module("conv1", plain_conv(in, inner, 1))),
      conv2_(register_module("conv2", plain_conv(inner, inner, 3, stride))),
      conv3_(register_module("conv3", plain_conv(inner, 4 * inner, 1))),
      bn1_(register_module("bn1", norm(inner))),
      bn2_(register_module("bn2", norm(inner))),
      bn3_(register_module("bn3", norm(4 * inner))),
      downsample_(projection(in, 4 * inner, stride)) {
  if (downsample_) register_module("downsample", downsample_);
}

torch::Tensor ResnetBottleneck::forward(const torch::Tensor& x) {
  const torch::Tensor narrow = normed(*conv1_, *bn1_, x, {Activation::relu, {}});
  const torch::Tensor y = normed(*conv2_, *bn2_, narrow, {Activation::relu, {}});
  return normed(*conv3_, *bn3_, y, {Activation::relu, downsample_ ? downsample_->forward(x) : x});
}

}  // namespace mambaseg
