#include "mambaseg/nets/blocks/unet2d.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>

#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

namespace nn = torch::nn;

Sequential double_conv(int64_t in, int64_t out) {
  const auto conv3 = [](int64_t from, int64_t to) {
    return Conv2d(nn::Conv2dOptions(from, to, 3).padding(1).bias(false));
  };
  return Sequential(conv3(in, out), BatchNorm2d(out), nn::ReLU(nn::ReLUOptions(true)), conv3(out, out),
                    BatchNorm2d(out), nn::ReLU(nn::ReLUOptions(true)));
}

}  // namespace

Unet::Unet(const UnetSettings& s, const UnetExtra& extra) {
  const auto& w = s.widths;
  if (w.size() < 2) throw UsageError(concat("widths: expected at least 2 numbers, got ", w.size()));
  const auto scales = static_cast<int64_t>(w.size());
  // Modules without parameters of their own that only carry a part of the official names.
  const auto holder = [&](const std::string& name) {
    return register_module(name, std::make_shared<nn::Module>());
  };
  for (int64_t i = 0; i < scales; ++i) {
    const auto at = static_cast<size_t>(i);
    down_.push_back(double_conv(i == 0 ? s.in_channels : w[at - 1], w[at]));
    if (i == 0) {
      holder("inc")->register_module("double_conv", down_[at]);
    } else {
      auto stage =
          holder("down" + std::to_string(i))->register_module("maxpool_conv", std::make_shared<nn::Module>());
      stage->register_module("1", std::make_shared<nn::Module>())->register_module("double_conv", down_[at]);
    }
  }
  extras_.resize(w.size());
  for (const int64_t stage : extra.stages) {
    if (stage < 1 || stage > scales)
      throw UsageError(concat("stages: expected numbers from 1 to ", scales, ", got ", stage));
    const auto at = static_cast<size_t>(stage - 1);
    if (extras_[at]) throw UsageError(concat("stages: ", stage, " stands there twice"));
    extras_[at] = register_module(extra.prefix + std::to_string(stage), extra.make(w[at]));
  }
  for (int64_t i = scales - 2; i >= 0; --i) {
    const auto at = static_cast<size_t>(i);
    UpStage stage{ConvTranspose2d(nn::ConvTranspose2dOptions(w[at + 1], w[at], 2).stride(2)),
                  double_conv(2 * w[at], w[at])};
    auto named = holder("up" + std::to_string(scales - 1 - i));
    named->register_module("up", stage.grow);
    named->register_module("conv", std::make_shared<nn::Module>())
        ->register_module("double_conv", stage.conv);
    up_.push_back(stage);
  }
  head_ = holder("outc")->register_module("conv", Conv2d(nn::Conv2dOptions(w[0], s.classes, 1)));
}

int64_t Unet::size_multiple() const { return int64_t{1} << (down_.size() - 1); }

std::vector<torch::Tensor> Unet::forward(const torch::Tensor& input) {
  require(input.dim() == 4 && input.size(2) % size_multiple() == 0 && input.size(3) % size_multiple() == 0,
          "U-Net: expected (batch, channel, Y, X) with edges that are multiples of ", size_multiple(),
          ", got ", input.sizes());
  std::vector<torch::Tensor> skips;
  torch::Tensor x = input;
  for (size_t i = 0; i < down_.size(); ++i) {
    x = down_[i]->forward(i == 0 ? x : halved_by_max(x));
    if (extras_[i]) x = extras_[i]->forward(x);
    if (i + 1 < down_.size()) skips.push_back(x);
  }
  for (UpStage& stage : up_) {
    x = stage.conv->forward(torch::cat({skips.back(), stage.grow->forward(x)}, 1));
    skips.pop_back();
  }
  return {head_->forward(x)};
}

}  // namespace mambaseg
