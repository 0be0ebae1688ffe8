#include "mambaseg/nets/blocks/unet2d.h"

#include "mambaseg/nets/blocks/double_conv.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

std::shared_ptr<torch::nn::Module> make_up(const Json& a) {
  const int64_t in = a.at("in_channels"), out = a.at("out_channels");  // before the two convolutions, behind
  if (argument(a, "bilinear", true))
    return std::make_shared<UnetUp>(in / 2, in / 2, out, UnetGrowth::bilinear);
  return std::make_shared<UnetUp>(in, in / 2, out);
}
torch::Tensor run_up(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<UnetUp&>(module).forward(inputs.at("x1"), inputs.at("x2"));
}

}  // namespace

std::vector<OfficialBlock> official_unet2d() { return {{"milesial/Pytorch-UNet", {"Up"}, make_up, run_up}}; }

UnetUp::UnetUp(int64_t deep, int64_t skip, int64_t out, UnetGrowth growth) {
  if (growth == UnetGrowth::bilinear) {
    conv_ = double_conv(skip + deep, out, {.middle = (skip + deep) / 2});
  } else {
    grow_ = register_module("up", std::make_shared<TransposedConvolution>(deep, skip, cube(2, 2)));
    conv_ = double_conv(2 * skip, out);
  }
  register_module("conv", std::make_shared<torch::nn::Module>())->register_module("double_conv", conv_);
}

torch::Tensor UnetUp::forward(const torch::Tensor& deep_BCYX, const torch::Tensor& skip_BCYX) {
  torch::Tensor grown = grow_ ? grow_->forward(deep_BCYX) : linear_upsampled(deep_BCYX, 2, true);
  const int64_t rows = skip_BCYX.size(2) - grown.size(2), columns = skip_BCYX.size(3) - grown.size(3);
  if (rows != 0 || columns != 0)
    grown = torch::constant_pad_nd(grown, {columns / 2, columns - columns / 2, rows / 2, rows - rows / 2});
  return conv_->forward(torch::cat({skip_BCYX, grown}, 1));
}

Unet::Unet(const UnetSettings& s, const UnetExtra& extra, UnetGrowth growth) {
  const auto& w = s.widths;
  if (w.size() < 2) throw UsageError(concat("widths: expected at least 2 numbers, got ", w.size()));
  const auto scales = static_cast<int64_t>(w.size());
  // Modules without parameters of their own that only carry a part of the official names.
  const auto holder = [&](const std::string& name) {
    return register_module(name, std::make_shared<torch::nn::Module>());
  };
  const int64_t part = growth == UnetGrowth::bilinear ? 2 : 1;
  for (int64_t i = 0; i < scales; ++i) {
    const auto at = static_cast<size_t>(i);
    down_.push_back(double_conv(i == 0 ? s.in_channels : w[at - 1], i + 1 < scales ? w[at] : w[at] / part));
    if (i == 0) {
      holder("inc")->register_module("double_conv", down_[at]);
    } else {
      auto stage = holder("down" + std::to_string(i))
                       ->register_module("maxpool_conv", std::make_shared<torch::nn::Module>());
      stage->register_module("1", std::make_shared<torch::nn::Module>())
          ->register_module("double_conv", down_[at]);
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
    const int64_t out = i == 0 ? w[at] : w[at] / part;
    up_.push_back(register_module("up" + std::to_string(scales - 1 - i),
                                  std::make_shared<UnetUp>(w[at + 1] / part, w[at], out, growth)));
  }
  head_ = holder("outc")->register_module("conv", conv(2, w[0], s.classes, 1));
}

Extent Unet::size_multiples() const { return cube(2, 1); }

Extent Unet::least_sizes() const { return cube(2, int64_t{1} << (down_.size() - 1)); }

std::vector<torch::Tensor> Unet::scores(const torch::Tensor& input) {
  std::vector<torch::Tensor> skips;
  torch::Tensor x = input;
  for (size_t i = 0; i < down_.size(); ++i) {
    x = down_[i]->forward(i == 0 ? x : halved_by_max(x));
    if (extras_[i]) x = extras_[i]->forward(x);
    if (i + 1 < down_.size()) skips.push_back(x);
  }
  for (const auto& stage : up_) {
    x = stage->forward(x, skips.back());
    skips.pop_back();
  }
  return {head_->forward(x)};
}

}  // namespace mambaseg
