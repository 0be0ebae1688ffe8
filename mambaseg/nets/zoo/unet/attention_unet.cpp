// Attention U-Net (Oktay et al. 2018) for pictures, and the same with recurrent residual blocks (R2U-Net,
// Alom et al. 2018), after AttU_Net and R2AttU_Net of github.com/LeeJunHyun/Image_Segmentation, whose module
// names they keep: nearest-neighbour up-sampling with a convolution, additive gates on the skips.

#include "mambaseg/nets/blocks/attention_gate.h"
#include "mambaseg/nets/blocks/double_conv.h"
#include "mambaseg/nets/blocks/unet2d.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

std::shared_ptr<BatchNorm> norm(int64_t channels) { return std::make_shared<BatchNorm>(channels); }

/// [convolution 3x3, batch norm, ReLU] twice; prefix "conv".
class ConvBlock : public Layer {
 public:
  ConvBlock(int64_t in, int64_t out) : conv_(register_module("conv", double_conv(in, out, {.bias = true}))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return conv_->forward(x); }

 private:
  std::shared_ptr<Sequence> conv_;
};

/// One convolution 3x3, batch norm, ReLU c, applied again and again: y = c(x), then `times` times y = c(x +
/// y); prefix "conv". While training, its norm sees every application.
class RecurrentBlock : public Layer {
 public:
  RecurrentBlock(int64_t channels, int64_t times)
      : times_(times),
        conv_(register_module("conv", sequence({conv(2, channels, channels, 3), norm(channels), relu()}))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor y = conv_->forward(x);
    for (int64_t i = 0; i < times_; ++i) y = conv_->forward(x + y);
    return y;
  }

 private:
  int64_t times_;
  std::shared_ptr<Sequence> conv_;
};

/// Two recurrent blocks and a residual around both; prefixes "Conv_1x1", "RCNN".
class RecurrentResidualBlock : public Layer {
 public:
  RecurrentResidualBlock(int64_t in, int64_t out, int64_t times) {
    rcnn_ = register_module("RCNN", sequence({std::make_shared<RecurrentBlock>(out, times),
                                              std::make_shared<RecurrentBlock>(out, times)}));
    conv_ = register_module("Conv_1x1", conv(2, in, out, 1));
  }
  torch::Tensor forward(const torch::Tensor& input) override {
    const torch::Tensor x = conv_->forward(input);
    return x + rcnn_->forward(x);
  }

 private:
  std::shared_ptr<Sequence> rcnn_;
  std::shared_ptr<Convolution> conv_;
};

/// Doubles the grid; prefix "up".
class UpConv : public Layer {
 public:
  UpConv(int64_t in, int64_t out)
      : up_(register_module(
            "up", sequence({std::make_shared<NearestDoubling>(), conv(2, in, out, 3), norm(out), relu()}))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return up_->forward(x); }

 private:
  std::shared_ptr<Sequence> up_;
};

struct R2Settings : UnetSettings {
  int64_t recurrences = 2;
  void describe(SettingsVisitor& visit) {
    UnetSettings::describe(visit);
    visit("recurrences", recurrences, "times that a convolution sees its own output again (t)", at_least(0));
  }
};

/// Names of modules, and what stands at each scale.
struct Blocks {
  const char* down;
  const char* up;
  std::function<std::shared_ptr<Layer>(int64_t in, int64_t out)> make;
};

class AttentionUnet : public Network {
 public:
  AttentionUnet(const UnetSettings& s, const Blocks& blocks) {
    const auto& w = s.widths;
    if (w.size() < 2) throw UsageError(concat("widths: expected at least 2 numbers, got ", w.size()));
    for (size_t i = 0; i < w.size(); ++i)
      down_.push_back(register_module(blocks.down + std::to_string(i + 1),
                                      blocks.make(i == 0 ? s.in_channels : w[i - 1], w[i])));
    for (size_t i = w.size() - 1; i-- > 0;) {
      const std::string level = std::to_string(i + 2);
      up_.push_back({register_module("Up" + level, std::make_shared<UpConv>(w[i + 1], w[i])),
                     register_module("Att" + level, std::make_shared<AttentionGate>(w[i], w[i], w[i] / 2)),
                     register_module(blocks.up + level, blocks.make(2 * w[i], w[i]))});
    }
    head_ = register_module("Conv_1x1", conv(2, w[0], s.classes, 1));
  }

  Extent size_multiples() const override { return cube(2, int64_t{1} << (down_.size() - 1)); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& input) override {
    std::vector<torch::Tensor> skips;
    torch::Tensor x = down_[0]->forward(input);
    for (size_t i = 1; i < down_.size(); ++i) {
      skips.push_back(x);
      x = down_[i]->forward(halved_by_max(x));
    }
    for (const UpStage& stage : up_) {
      const torch::Tensor grown = stage.grow->forward(x);
      x = stage.conv->forward(torch::cat({stage.gate->forward(grown, skips.back()), grown}, 1));
      skips.pop_back();
    }
    return {head_->forward(x)};
  }

 private:
  struct UpStage {
    std::shared_ptr<UpConv> grow;
    std::shared_ptr<AttentionGate> gate;
    std::shared_ptr<Layer> conv;
  };
  std::vector<std::shared_ptr<Layer>> down_;  ///< finest first, bottleneck last
  std::vector<UpStage> up_;                   ///< coarsest first
  std::shared_ptr<Convolution> head_;
};

Json official_settings(const Json& a) {
  UnetSettings s;
  s.in_channels = argument<int64_t>(a, "img_ch", 3);
  s.classes = argument<int64_t>(a, "output_ch", 1);
  return to_json(s);
}

Json official_r2_settings(const Json& a) {
  Json settings = official_settings(a);
  settings["recurrences"] = argument<int64_t>(a, "t", 2);
  return settings;
}

std::shared_ptr<torch::nn::Module> official_gate(const Json& a) {
  return std::make_shared<AttentionGate>(a.at("F_g"), a.at("F_l"), a.at("F_int"));
}
torch::Tensor run_gate(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<AttentionGate&>(module).forward(inputs.at("g"), inputs.at("x"));
}
std::shared_ptr<torch::nn::Module> official_rrcnn(const Json& a) {
  return std::make_shared<RecurrentResidualBlock>(a.at("ch_in"), a.at("ch_out"),
                                                  argument<int64_t>(a, "t", 2));
}

constexpr const char* kRepository = "LeeJunHyun/Image_Segmentation";

}  // namespace

NetworkEntry attention_unet_entry() {
  return network_entry<UnetSettings>(
      {.name = "attention_unet",
       .dims = {2},
       .source = "Oktay et al.: Attention U-Net, 2018; github.com/LeeJunHyun/Image_Segmentation",
       .summary = "2-D U-Net with additive attention gates on the skips",
       .parameters = 34'878'573,
       .small = R"({"classes": 3, "widths": [4, 8, 12]})",
       .small_edge = 16,
       .official = {{kRepository, "AttU_Net", official_settings}},
       .blocks = {{kRepository, {"Attention_block"}, official_gate, run_gate}}},
      [](const UnetSettings& s) {
        return std::make_shared<AttentionUnet>(s, Blocks{"Conv", "Up_conv", [](int64_t in, int64_t out) {
                                                           return std::make_shared<ConvBlock>(in, out);
                                                         }});
      });
}

NetworkEntry r2_attention_unet_entry() {
  return network_entry<R2Settings>(
      {.name = "r2_attention_unet",
       .dims = {2},
       .source = "Alom et al.: Recurrent Residual U-Net (R2U-Net), 2018, with the gates of Attention U-Net; "
                 "github.com/LeeJunHyun/Image_Segmentation",
       .summary = "2-D Attention U-Net of recurrent residual convolutions",
       .parameters = 39'442'925,
       .small = R"({"classes": 3, "widths": [4, 8, 12]})",
       .small_edge = 16,
       .official = {{kRepository, "R2AttU_Net", official_r2_settings}},
       .blocks = {{kRepository, {"RRCNN_block"}, official_rrcnn}}},
      [](const R2Settings& s) {
        return std::make_shared<AttentionUnet>(s, Blocks{"RRCNN", "Up_RRCNN", [&](int64_t in, int64_t out) {
                                                           return std::make_shared<RecurrentResidualBlock>(
                                                               in, out, s.recurrences);
                                                         }});
      });
}

}  // namespace mambaseg
