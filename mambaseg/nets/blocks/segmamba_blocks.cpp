#include "mambaseg/nets/blocks/segmamba_blocks.h"

#include <utility>

#include "mambaseg/nets/blocks/official_blocks.h"

namespace mambaseg {

GatedSpatialConvolution::GatedSpatialConvolution(int64_t width, bool learnt_slopes) {
  for (const char* number : {"", "2", "3", "4"}) {
    const int64_t edge = projections_.size() < 2 ? 3 : 1;
    projections_.push_back(register_module(std::string("proj") + number, conv(3, width, width, edge)));
    if (!learnt_slopes) continue;
    const auto slope =
        register_module(std::string("nonliner") + number, std::make_shared<torch::nn::Module>());
    slopes_.push_back(slope->register_parameter("weight", torch::full({1}, 0.25)));
  }
}

torch::Tensor GatedSpatialConvolution::step(size_t i, const torch::Tensor& x) {
  const torch::Tensor y = projections_[i]->forward(x);
  if (slopes_.empty()) return norm_.run(y, {Activation::relu, {}});
  const torch::Tensor normed = norm_.run(y, {});
  return torch::prelu(normed, slopes_[i].to(normed.scalar_type()));
}

torch::Tensor GatedSpatialConvolution::forward(const torch::Tensor& x) {
  return x + step(3, step(1, step(0, x)) + step(2, x));
}

TriOrientatedLayer::TriOrientatedLayer(const TriOrientatedMambaSettings& mamba, bool residual)
    : residual_(residual),
      norm_(register_module("norm", std::make_shared<LayerNorm>(mamba.width))),
      mamba_(register_module("mamba", std::make_shared<TriOrientatedMamba>(mamba))) {}

torch::Tensor TriOrientatedLayer::forward(const torch::Tensor& x) {
  const torch::Tensor tokens = x.permute({0, 2, 3, 4, 1}).contiguous();
  const torch::Tensor mixed = mamba_->forward(norm_->forward(tokens));
  return (residual_ ? tokens + mixed : mixed).permute({0, 4, 1, 2, 3});
}

ChannelMlp::ChannelMlp(int64_t width, int64_t hidden, int64_t dims)
    : fc1_(register_module("fc1", conv(dims, width, hidden, 1))),
      fc2_(register_module("fc2", conv(dims, hidden, width, 1))) {}

torch::Tensor ChannelMlp::forward(const torch::Tensor& x) {
  return fc2_->forward(fc1_->run(x, {Activation::gelu, {}}));
}

std::vector<std::shared_ptr<Layer>> halving_layers(int64_t in, const std::vector<int64_t>& widths,
                                                   const MakeConvolution& make) {
  std::vector<std::shared_ptr<Layer>> layers;
  for (size_t i = 0; i < widths.size(); ++i)
    layers.push_back(i == 0 ? sequence({make(in, widths[0], 7, {.stride = cube(3, 2)})})
                            : sequence({std::make_shared<PlainInstanceNorm>(),
                                        make(widths[i - 1], widths[i], 2,
                                             {.stride = cube(3, 2), .padding = cube(3, 0)})}));
  return layers;
}

std::vector<std::shared_ptr<Layer>> halving_layers(int64_t in, const std::vector<int64_t>& widths) {
  return halving_layers(in, widths,
                        [](int64_t from, int64_t to, int64_t edge, const ConvolutionSettings& how) {
                          return conv(3, from, to, edge, how);
                        });
}

Extent sliced_size_multiples(const std::vector<int64_t>& slices) {
  const auto divides = [&](int64_t edge) {
    for (const int64_t count : slices) {
      edge /= 2;
      if (count > 0 && edge * edge * edge % count != 0) return false;
    }
    return true;
  };
  const int64_t step = int64_t{1} << slices.size();
  int64_t multiple = step;
  while (!divides(multiple)) multiple += step;
  return cube(3, multiple);
}

UnetrScales::UnetrScales(torch::nn::Module& owner, int64_t in, const std::vector<int64_t>& widths) {
  for (size_t i = 0; i < widths.size(); ++i) {
    encoders_.push_back(std::make_shared<UnetrBasicBlock>(3, i == 0 ? in : widths[i - 1], widths[i]));
    owner.register_module("encoder" + std::to_string(i + 1), encoders_.back());
  }
  for (size_t i = widths.size() - 1; i > 0; --i) {
    decoders_.push_back(std::make_shared<UnetrUpBlock>(3, widths[i], widths[i - 1]));
    owner.register_module("decoder" + std::to_string(i + 1), decoders_.back());
  }
  last_ = owner.register_module("decoder1", std::make_shared<UnetrBasicBlock>(3, widths[0], widths[0]));
}

torch::Tensor UnetrScales::decoded(std::vector<torch::Tensor> skips) const {
  torch::Tensor x = std::exchange(skips.back(), {});
  for (size_t i = 0; i < decoders_.size(); ++i)
    x = decoders_[i]->forward(x, std::exchange(skips[decoders_.size() - 1 - i], {}));
  return last_->forward(x);
}

std::vector<OfficialBlock> official_segmamba_blocks() {
  using Block = std::shared_ptr<torch::nn::Module>;
  constexpr const char* kRepository = "ge-xing/SegMamba";
  return {{kRepository,
           {"GSC"},
           [](const Json& a) -> Block {  // spelt so there
             return std::make_shared<GatedSpatialConvolution>(a.at("in_channles").get<int64_t>());
           }},
          {"yhy-whu/TK-Mamba",
           {"GSC"},
           [](const Json& a) -> Block {
             return std::make_shared<GatedSpatialConvolution>(a.at("in_channles").get<int64_t>(), true);
           }},
          {kRepository,
           {"MambaLayer (ToM)"},
           [](const Json& a) -> Block {
             return std::make_shared<TriOrientatedLayer>(
                 TriOrientatedMambaSettings{.width = a.at("dim"),
                                            .states = argument<int64_t>(a, "d_state", 16),
                                            .conv_kernel = argument<int64_t>(a, "d_conv", 4),
                                            .expand = argument<int64_t>(a, "expand", 2),
                                            .slices = a.at("num_slices")});
           }},
          {kRepository, {"MlpChannel"}, [](const Json& a) -> Block {
             return std::make_shared<ChannelMlp>(a.at("hidden_size").get<int64_t>(),
                                                 a.at("mlp_dim").get<int64_t>());
           }}};
}

}  // namespace mambaseg
