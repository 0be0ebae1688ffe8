#include "mambaseg/nets/blocks/conv3d_blocks.h"

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/ops/growing_conv.h"

namespace mambaseg {
namespace {

std::shared_ptr<Convolution> conv3(int64_t channels_in, int64_t channels_out) {
  return conv(3, channels_in, channels_out, 3);
}

std::shared_ptr<GroupNorm> norm(int64_t channels) { return std::make_shared<GroupNorm>(8, channels); }

std::shared_ptr<Sequence> norm_relu(int64_t channels) { return sequence({norm(channels), relu()}); }

/// Nearest neighbour on twice the grid, then a convolution. Prefix "1".
class NearestConv : public Layer {
 public:
  NearestConv(int64_t channels_in, int64_t channels_out)
      : conv_(register_module("1", conv3(channels_in, channels_out))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return doubled_convolution(x, conv_->weight, conv_->bias, grown_);
  }

 private:
  std::shared_ptr<Convolution> conv_;
  GrowingWeights grown_;
};

/// Padding with which an odd kernel keeps, and an even one exactly halves or doubles, the grid.
Extent stride_padding(int64_t kernel) { return cube(3, kernel / 2 - (1 - kernel % 2)); }

std::shared_ptr<Sequence> two_convolutions(int64_t channels_in, int64_t channels_out, bool preactivation) {
  if (preactivation)
    return sequence({norm(channels_in), relu(), conv3(channels_in, channels_out), norm(channels_out), relu(),
                     conv3(channels_out, channels_out)});
  return sequence({conv3(channels_in, channels_out), norm(channels_out), relu(),
                   conv3(channels_out, channels_out), norm(channels_out), relu()});
}

}  // namespace

ConvBlock3d::ConvBlock3d(int64_t channels_in, int64_t channels_out)
    : conv_(register_module("conv", two_convolutions(channels_in, channels_out, false))) {}

torch::Tensor ConvBlock3d::compute(const torch::Tensor& x) { return conv_->forward(x); }

ResBlock3d::ResBlock3d(int64_t channels_in, int64_t channels_out, const ConvStyle& style)
    : conv_(register_module(
          "conv", style.single ? sequence({conv3(channels_in, channels_out), norm(channels_out), relu()})
                               : two_convolutions(channels_in, channels_out, style.preactivation))) {
  if (!(style.plain_identity && channels_in == channels_out))
    identity_ = register_module("identity", conv(3, channels_in, channels_out, 1));
}

torch::Tensor ResBlock3d::compute(const torch::Tensor& x) {
  const torch::Tensor y = conv_->forward(x);
  return identity_ ? identity_->run(x, {Activation::none, y}) : x + y;
}

DownBlock3d::DownBlock3d(int64_t channels_in, int64_t channels_out, bool max_pool, const ConvStyle& style,
                         int64_t kernel)
    : down_(register_module("down", std::make_shared<Sequence>())) {
  if (max_pool) {
    down_->push_back(std::make_shared<HalvingMaxPool>());
    down_->push_back(std::make_shared<ResBlock3d>(channels_in, channels_out, style));
    return;
  }
  const auto strided =
      conv(3, channels_in, channels_out, kernel, {.stride = cube(3, 2), .padding = stride_padding(kernel)});
  if (style.preactivation) down_->push_back(norm_relu(channels_in));
  down_->push_back(strided);
  if (!style.preactivation) down_->push_back(norm_relu(channels_out));
  down_->push_back(
      std::make_shared<ResBlock3d>(channels_out, channels_out, ConvStyle{true, style.plain_identity, false}));
}

torch::Tensor DownBlock3d::forward(const torch::Tensor& x) { return down_->forward(x); }

UpBlock3d::UpBlock3d(int64_t channels_in, int64_t channels_out, bool nearest, const ConvStyle& style,
                     int64_t kernel)
    : up_(register_module("up", std::make_shared<Sequence>())) {
  if (style.preactivation) up_->push_back(norm_relu(channels_in));
  if (nearest)
    up_->push_back(std::make_shared<NearestConv>(channels_in, channels_out));
  else
    up_->push_back(std::make_shared<TransposedConvolution>(
        channels_in, channels_out, cube(3, kernel),
        TransposedSettings{
            .stride = cube(3, 2), .padding = stride_padding(kernel), .output_padding = cube(3, kernel % 2)}));
  if (!style.preactivation) up_->push_back(norm_relu(channels_out));
}

torch::Tensor UpBlock3d::forward(const torch::Tensor& x) { return up_->forward(x); }

std::vector<OfficialBlock> official_conv3d_blocks() {
  using Module = std::shared_ptr<torch::nn::Module>;
  // The defaults are those of the official constructors.
  static const auto style = [](const Json& a) {
    return ConvStyle{argument(a, "preact", true), argument(a, "id", true), false};
  };
  const char* repository = "aaroncao06/MedSegMamba";
  return {
      {repository,
       {"conv", "conv_block_3D"},
       [](const Json& a) -> Module { return std::make_shared<ConvBlock3d>(a.at("ch_in"), a.at("ch_out")); }},
      {repository,
       {"resconv", "ResConvBlock3D"},
       [](const Json& a) -> Module {
         return std::make_shared<ResBlock3d>(a.at("ch_in"), a.at("ch_out"), style(a));
       }},
      {repository,
       {"down", "down_block"},
       [](const Json& a) -> Module {
         return std::make_shared<DownBlock3d>(a.at("ch_in"), a.at("ch_out"), argument(a, "maxpool", false),
                                              style(a), argument<int64_t>(a, "kernel_size", 3));
       }},
      {repository, {"up", "upconv"}, [](const Json& a) -> Module {
         return std::make_shared<UpBlock3d>(a.at("ch_in"), a.at("ch_out"), argument(a, "upsample", true),
                                            style(a), argument<int64_t>(a, "kernel_size", 3));
       }}};
}

}  // namespace mambaseg
