#include "mambaseg/nets/blocks/bridged_unet.h"

#include <cmath>

#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

constexpr size_t kScales = 6;
constexpr int64_t kGroups = 4;

/// One map for each skip, from mean and maximum over its channels, by one convolution for all. Prefix
/// "shared_conv2d".
class SpatialBridge : public Module {
 public:
  SpatialBridge()
      : conv_(register_module("shared_conv2d", sequence({conv(2, 2, 1, 7, {.dilation = {3, 3}}),
                                                         activation(Activation::sigmoid)}))) {}
  torch::Tensor forward(const torch::Tensor& skip) { return conv_->forward(channel_mean_and_max(skip)); }

 private:
  std::shared_ptr<Sequence> conv_;
};

/// One number for each channel of each skip, from the means of all channels of all skips: a convolution along
/// the channels, then a layer for each skip. Prefixes "get_all_att", "att1", ...
class ChannelBridge : public Module {
 public:
  ChannelBridge(const std::vector<int64_t>& widths, bool linear)
      : all_(register_module("get_all_att", std::make_shared<torch::nn::Module>())) {
    int64_t sum = 0;
    for (const int64_t width : widths) sum += width;
    weight_ = all_->register_parameter("weight", torch::empty({1, 1, kReach}));
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string name = "att" + std::to_string(i + 1);
      if (linear)
        linear_.push_back(register_module(name, std::make_shared<Linear>(sum, widths[i])));
      else
        convolution_.push_back(
            register_module(name, std::make_shared<Convolution>(sum, widths[i], Extent{1})));
    }
    const torch::NoGradGuard no_grad;
    weight_.normal_(0, std::sqrt(2.0 / kReach));
  }

  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& skips) {
    std::vector<torch::Tensor> means, gates;
    for (const torch::Tensor& skip : skips) means.push_back(skip.mean({2, 3}));
    const torch::Tensor all = torch::cat(means, 1).unsqueeze(1);  // (B, 1, sum)
    const torch::Tensor mixed = torch::conv1d(all.to(weight_.scalar_type()), weight_, {}, 1, kReach / 2)
                                    .to(all.scalar_type())
                                    .squeeze(1);
    for (size_t i = 0; i < skips.size(); ++i) {
      const torch::Tensor gate =
          linear_.empty() ? torch::conv1d(mixed.unsqueeze(2).to(convolution_[i]->weight.scalar_type()),
                                          convolution_[i]->weight, convolution_[i]->bias)
                                .to(mixed.scalar_type())
                                .squeeze(2)
                          : linear_[i]->forward(mixed);
      gates.push_back(torch::sigmoid(gate).unsqueeze(-1).unsqueeze(-1));
    }
    return gates;
  }

 private:
  static constexpr int64_t kReach = 3;
  std::shared_ptr<torch::nn::Module> all_;
  torch::Tensor weight_;
  std::vector<std::shared_ptr<Linear>> linear_;
  std::vector<std::shared_ptr<Convolution>> convolution_;
};

}  // namespace

/// SC bridge: s = spatial gate * t, then channel gate * (s + t) + s. Prefixes "satt", "catt".
class ScBridge : public Module {
 public:
  ScBridge(const std::vector<int64_t>& widths, bool linear)
      : spatial_(register_module("satt", std::make_shared<SpatialBridge>())),
        channel_(register_module("catt", std::make_shared<ChannelBridge>(widths, linear))) {}

  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& skips) {
    std::vector<torch::Tensor> gated, sums;
    for (const torch::Tensor& t : skips) {
      gated.push_back(spatial_->forward(t) * t);
      sums.push_back(gated.back() + t);
    }
    const std::vector<torch::Tensor> gates = channel_->forward(sums);
    for (size_t i = 0; i < skips.size(); ++i) gated[i] = gates[i] * sums[i] + gated[i];
    return gated;
  }

 private:
  std::shared_ptr<SpatialBridge> spatial_;
  std::shared_ptr<ChannelBridge> channel_;
};

BridgedUnet::BridgedUnet(const BridgedUnetSettings& s, const MakeStage& make) {
  const auto& w = s.widths;
  if (w.size() != kScales) throw UsageError(concat("widths: expected 6 numbers, got ", w.size()));
  for (const int64_t width : w)
    if (width % kGroups != 0) throw UsageError(concat("widths: expected multiples of 4, got ", width));
  const auto norm = [&](const std::string& name, int64_t width) {
    return register_module(name, std::make_shared<GroupNorm>(kGroups, width));
  };
  for (size_t i = 0; i < kScales; ++i) {
    const int64_t in = i == 0 ? s.in_channels : w[i - 1];
    encoder_.push_back(register_module("encoder" + std::to_string(i + 1), make(i, in, w[i], false)));
  }
  if (s.bridge)
    bridge_ = register_module("scab", std::make_shared<ScBridge>(std::vector<int64_t>(w.begin(), w.end() - 1),
                                                                 s.split == "linear"));
  for (size_t i = kScales - 1; i > 0; --i)
    decoder_.push_back(
        register_module("decoder" + std::to_string(kScales - i), make(i, w[i], w[i - 1], true)));
  for (size_t i = 0; i + 1 < kScales; ++i)
    encoder_norms_.push_back(norm("ebn" + std::to_string(i + 1), w[i]));
  for (size_t i = kScales - 1; i > 0; --i)
    decoder_norms_.push_back(norm("dbn" + std::to_string(kScales - i), w[i - 1]));
  final_ = register_module("final", conv(2, w[0], s.classes, 1));
  start();
}

Extent BridgedUnet::size_multiples() const { return cube(2, int64_t{1} << (kScales - 1)); }

std::vector<torch::Tensor> BridgedUnet::scores(const torch::Tensor& input) {
  std::vector<torch::Tensor> skips;
  torch::Tensor x = input;
  for (size_t i = 0; i + 1 < kScales; ++i) {
    x = torch::gelu(halved_by_max(encoder_norms_[i]->forward(encoder_[i]->forward(x))));
    skips.push_back(x);
  }
  x = torch::gelu(encoder_.back()->forward(x));
  if (bridge_) skips = bridge_->forward(skips);
  for (size_t i = 0; i < decoder_.size(); ++i) {
    x = decoder_norms_[i]->forward(decoder_[i]->forward(x));
    if (i > 0) x = linear_upsampled(x, 2, /*align_corners=*/true);
    x = torch::gelu(x) + skips[skips.size() - 1 - i];
  }
  x = final_->forward(x);
  seen("logits", x);  // at half resolution
  return {linear_upsampled(x, 2, /*align_corners=*/true)};
}

void BridgedUnet::start() {
  const torch::NoGradGuard no_grad;
  for (const auto& part : modules(/*include_self=*/false)) {
    if (auto* linear = dynamic_cast<Linear*>(part.get())) {
      linear->weight.normal_(0, 0.02);  // cut there at +-2, a hundred standard deviations away
      if (linear->bias.defined()) linear->bias.zero_();
    } else if (auto* dense = dynamic_cast<Convolution*>(part.get())) {
      // One axis: a depthwise convolution counts there as if it were dense.
      const int64_t groups = dense->weight.dim() == 3 ? 1 : dense->groups();
      const auto fan_out = static_cast<double>(dense->weight.numel() / dense->weight.size(1) / groups);
      dense->weight.normal_(0, std::sqrt(2 / fan_out));
      if (dense->bias.defined()) dense->bias.zero_();
    }
  }
}

void read_bridged_arguments(const Json& a, BridgedUnetSettings& s) {
  s.in_channels = argument<int64_t>(a, "input_channels", 3);
  s.classes = argument<int64_t>(a, "num_classes", 1);
  s.widths = argument(a, "c_list", s.widths);
  s.bridge = argument(a, "bridge", true);
  s.split = argument<std::string>(a, "split_att", "fc") == "fc" ? "linear" : "convolution";
}

}  // namespace mambaseg
