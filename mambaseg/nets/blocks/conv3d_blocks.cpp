#include "mambaseg/nets/blocks/conv3d_blocks.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>

#include "mambaseg/ops/growing_conv.h"

namespace mambaseg {
namespace {

namespace nn = torch::nn;

constexpr int64_t kGroups = 8;

Conv3d conv3(int64_t channels_in, int64_t channels_out) {
  return Conv3d(nn::Conv3dOptions(channels_in, channels_out, 3).padding(1));
}

GroupNorm norm(int64_t channels) { return GroupNorm(nn::GroupNormOptions(kGroups, channels)); }

nn::ReLU relu() { return nn::ReLU(nn::ReLUOptions(/*inplace=*/true)); }

/// Norm and ReLU under one name, since a Sequential cannot hold a Sequential.
class NormRelu : public nn::Module {
 public:
  explicit NormRelu(int64_t channels) : norm_(register_module("0", norm(channels))) {}
  torch::Tensor forward(const torch::Tensor& x) { return norm_->run(x, {Activation::relu, {}}); }

 private:
  GroupNorm norm_;
};

/// Nearest neighbour on twice the grid, then a convolution.
class NearestConv : public nn::Module {
 public:
  NearestConv(int64_t channels_in, int64_t channels_out)
      : conv_(register_module("1", conv3(channels_in, channels_out))) {}
  torch::Tensor forward(const torch::Tensor& x) {
    return doubled_convolution(x, conv_->weight, conv_->bias, grown_);
  }

 private:
  Conv3d conv_;
  GrowingWeights grown_;
};

/// Padding with which an odd kernel keeps, and an even one exactly halves or doubles, the grid.
int64_t stride_padding(int64_t kernel) { return kernel / 2 - (1 - kernel % 2); }

Sequential two_convolutions(int64_t channels_in, int64_t channels_out, bool preactivation) {
  if (preactivation)
    return Sequential(norm(channels_in), relu(), conv3(channels_in, channels_out), norm(channels_out), relu(),
                      conv3(channels_out, channels_out));
  return Sequential(conv3(channels_in, channels_out), norm(channels_out), relu(),
                    conv3(channels_out, channels_out), norm(channels_out), relu());
}

}  // namespace

ConvBlock3d::ConvBlock3d(int64_t channels_in, int64_t channels_out)
    : conv_(register_module("conv", two_convolutions(channels_in, channels_out, false))) {}

torch::Tensor ConvBlock3d::forward(const torch::Tensor& x) { return conv_->forward(x); }

ResBlock3d::ResBlock3d(int64_t channels_in, int64_t channels_out, const ConvStyle& style)
    : conv_(register_module("conv", two_convolutions(channels_in, channels_out, style.preactivation))) {
  if (!(style.plain_identity && channels_in == channels_out))
    identity_ = register_module("identity", Conv3d(nn::Conv3dOptions(channels_in, channels_out, 1)));
}

torch::Tensor ResBlock3d::forward(const torch::Tensor& x) {
  const torch::Tensor y = conv_->forward(x);
  return identity_.is_empty() ? x + y : identity_->run(x, {Activation::none, y});
}

DownBlock3d::DownBlock3d(int64_t channels_in, int64_t channels_out, bool max_pool, const ConvStyle& style,
                         int64_t kernel) {
  Sequential down;
  if (max_pool) {
    down->push_back(HalvingMaxPool());
    down->push_back(std::make_shared<ResBlock3d>(channels_in, channels_out, style));
  } else {
    const Conv3d strided(
        nn::Conv3dOptions(channels_in, channels_out, kernel).stride(2).padding(stride_padding(kernel)));
    if (style.preactivation) down->push_back(std::make_shared<NormRelu>(channels_in));
    down->push_back(strided);
    if (!style.preactivation) down->push_back(std::make_shared<NormRelu>(channels_out));
    down->push_back(
        std::make_shared<ResBlock3d>(channels_out, channels_out, ConvStyle{true, style.plain_identity}));
  }
  down_ = register_module("down", down);
}

torch::Tensor DownBlock3d::forward(const torch::Tensor& x) { return down_->forward(x); }

UpBlock3d::UpBlock3d(int64_t channels_in, int64_t channels_out, bool nearest, const ConvStyle& style,
                     int64_t kernel) {
  Sequential up;
  if (style.preactivation) up->push_back(std::make_shared<NormRelu>(channels_in));
  if (nearest) {
    up->push_back(std::make_shared<NearestConv>(channels_in, channels_out));
  } else {
    up->push_back(ConvTranspose3d(nn::ConvTranspose3dOptions(channels_in, channels_out, kernel)
                                      .stride(2)
                                      .padding(stride_padding(kernel))
                                      .output_padding(kernel % 2)));
  }
  if (!style.preactivation) up->push_back(std::make_shared<NormRelu>(channels_out));
  up_ = register_module("up", up);
}

torch::Tensor UpBlock3d::forward(const torch::Tensor& x) { return up_->forward(x); }

}  // namespace mambaseg
