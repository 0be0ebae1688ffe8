// UltraLight VM-UNet: Parallel Vision Mamba Significantly Reduces Parameters for Skin Lesion Segmentation (Wu
// et al. 2024), after its public code, whose module names it keeps: a U-Net of six scales, convolutions in
// the fine ones, in the coarse ones one small Mamba that reads four quarters of the channels (PVM), and
// spatial and channel attention over all skips at once (SC bridge, from MALUNet). Unlike there, forward
// returns scores before the sigmoid.

#include <cmath>

#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

constexpr size_t kScales = 6;
constexpr size_t kConvScales = 3;  // of convolutions; the others are of PVM layers
constexpr int64_t kChunks = 4;

struct UltraLightSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  std::vector<int64_t> widths{8, 16, 24, 32, 48, 64};
  bool bridge = true;
  std::string split = "linear";

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the six scales, multiples of 4", at_least(4));
    visit("bridge", bridge, "spatial and channel attention over all skips");
    visit("split", split, "how the channel attention is made for each skip",
          one_of({"linear", "convolution"}));
  }
};

/// Parallel vision Mamba: norm, one Mamba on each of four chunks of the channels plus the scaled chunk, the
/// same norm again, projection. Prefixes "norm", "mamba", "proj", "skip_scale".
class PvmLayer : public Layer {
 public:
  PvmLayer(int64_t in, int64_t out)
      : norm_(register_module("norm", std::make_shared<LayerNorm>(in))),
        mamba_(register_module("mamba", std::make_shared<Mamba>(MambaSettings{.width = in / kChunks}))),
        proj_(register_module("proj", std::make_shared<Linear>(in, out))),
        skip_scale_(register_parameter("skip_scale", torch::ones({1}))) {}

  /// x (B, in, Y, X) -> (B, out, Y, X)
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor tokens = norm_->forward(x.flatten(2).transpose(1, 2));
    std::vector<torch::Tensor> read;
    for (const torch::Tensor& chunk : tokens.chunk(kChunks, 2))
      read.push_back(mamba_->forward(chunk) + (skip_scale_ * chunk).to(chunk.scalar_type()));
    const torch::Tensor y = proj_->forward(norm_->forward(torch::cat(read, 2)));
    return y.transpose(1, 2).reshape({x.size(0), y.size(2), x.size(2), x.size(3)});
  }

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Mamba> mamba_;
  std::shared_ptr<Linear> proj_;
  torch::Tensor skip_scale_;
};

/// One map for each skip, from mean and maximum over its channels, by one convolution for all. Prefix
/// "shared_conv2d".
class SpatialBridge : public Module {
 public:
  SpatialBridge()
      : conv_(register_module("shared_conv2d", sequence({conv(2, 2, 1, 7, {.dilation = {3, 3}}),
                                                         activation(Activation::sigmoid)}))) {}
  torch::Tensor forward(const torch::Tensor& skip) {
    return conv_->forward(torch::cat({skip.mean({1}, true), skip.amax(1, true)}, 1));
  }

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

/// SC bridge: s = spatial gate * t, then channel gate * (s + t) + s. Prefixes "satt", "catt".
class Bridge : public Module {
 public:
  Bridge(const std::vector<int64_t>& widths, bool linear)
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

class UltraLightVmUnet : public Network {
 public:
  explicit UltraLightVmUnet(const UltraLightSettings& s) {
    const auto& w = s.widths;
    if (w.size() != kScales) throw UsageError(concat("widths: expected 6 numbers, got ", w.size()));
    for (const int64_t width : w)
      if (width % kChunks != 0) throw UsageError(concat("widths: expected multiples of 4, got ", width));
    const auto named = [&](const std::string& name, std::shared_ptr<Layer> layer) {
      return register_module(name, sequence({std::move(layer)}));
    };
    const auto norm = [&](const std::string& name, int64_t width) {
      return register_module(name, std::make_shared<GroupNorm>(4, width));
    };
    for (size_t i = 0; i < kScales; ++i) {
      const int64_t in = i == 0 ? s.in_channels : w[i - 1];
      encoder_.push_back(named("encoder" + std::to_string(i + 1), operation(i < kConvScales, in, w[i])));
    }
    if (s.bridge)
      bridge_ = register_module("scab", std::make_shared<Bridge>(std::vector<int64_t>(w.begin(), w.end() - 1),
                                                                 s.split == "linear"));
    for (size_t i = kScales - 1; i > 0; --i)
      decoder_.push_back(
          named("decoder" + std::to_string(kScales - i), operation(i < kConvScales, w[i], w[i - 1])));
    for (size_t i = 0; i + 1 < kScales; ++i)
      encoder_norms_.push_back(norm("ebn" + std::to_string(i + 1), w[i]));
    for (size_t i = kScales - 1; i > 0; --i)
      decoder_norms_.push_back(norm("dbn" + std::to_string(kScales - i), w[i - 1]));
    final_ = register_module("final", conv(2, w[0], s.classes, 1));
    initialise();
  }

  Extent size_multiples() const override { return cube(2, int64_t{1} << (kScales - 1)); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& input) override {
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

 private:
  static std::shared_ptr<Layer> operation(bool convolves, int64_t in, int64_t out) {
    if (convolves) return conv(2, in, out, 3);
    return std::make_shared<PvmLayer>(in, out);
  }

  /// As the repository does for every linear layer and convolution, those inside Mamba too.
  void initialise() {
    const torch::NoGradGuard no_grad;
    for (const auto& part : modules(/*include_self=*/false)) {
      if (auto* linear = dynamic_cast<Linear*>(part.get())) {
        linear->weight.normal_(0, 0.02);  // cut there at +-2, a hundred standard deviations away
        if (linear->bias.defined()) linear->bias.zero_();
      } else if (auto* dense = dynamic_cast<Convolution*>(part.get())) {
        const auto fan_out = static_cast<double>(dense->weight.numel() / dense->weight.size(1));
        dense->weight.normal_(0, std::sqrt(2 / fan_out));
        if (dense->bias.defined()) dense->bias.zero_();
      }
    }
  }

  std::vector<std::shared_ptr<Sequence>> encoder_;  ///< finest first
  std::vector<std::shared_ptr<Sequence>> decoder_;  ///< coarsest first
  std::vector<std::shared_ptr<GroupNorm>> encoder_norms_, decoder_norms_;
  std::shared_ptr<Bridge> bridge_;
  std::shared_ptr<Convolution> final_;
};

Json official_settings(const Json& a) {
  UltraLightSettings s;
  s.in_channels = argument<int64_t>(a, "input_channels", 3);
  s.classes = argument<int64_t>(a, "num_classes", 1);
  s.widths = argument(a, "c_list", s.widths);
  s.bridge = argument(a, "bridge", true);
  s.split = argument<std::string>(a, "split_att", "fc") == "fc" ? "linear" : "convolution";
  return to_json(s);
}

torch::Tensor sigmoid(const torch::Tensor& scores) { return scores.sigmoid(); }

std::shared_ptr<torch::nn::Module> official_pvm(const Json& a) {
  return std::make_shared<PvmLayer>(a.at("input_dim"), a.at("output_dim"));
}

constexpr const char* kRepository = "wurenkai/UltraLight-VM-UNet";

}  // namespace

NetworkEntry ultralight_vm_unet_entry() {
  return network_entry<UltraLightSettings>(
      {.name = "ultralight_vm_unet",
       .dims = {2},
       .source =
           "Wu et al.: UltraLight VM-UNet: Parallel Vision Mamba Significantly Reduces Parameters for Skin "
           "Lesion Segmentation, 2024; github.com/wurenkai/UltraLight-VM-UNet",
       .summary = "49,457 parameters: convolutions in the fine scales, one small Mamba on four chunks of the "
                  "channels in the coarse ones, attention over all skips",
       .parameters = 49'457,
       .small = R"({"classes": 3, "widths": [4, 8, 8, 8, 12, 16]})",
       .small_edge = 64,
       .official = {{kRepository, "UltraLight_VM_UNet", official_settings, sigmoid}},
       .blocks = {{kRepository, {"PVMLayer"}, official_pvm}}},
      [](const UltraLightSettings& s) { return std::make_shared<UltraLightVmUnet>(s); });
}

}  // namespace mambaseg
