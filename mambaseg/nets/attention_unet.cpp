// Attention U-Net (Oktay et al. 2018) for pictures, after AttU_Net of
// github.com/LeeJunHyun/Image_Segmentation, whose module names it keeps: nearest-neighbour up-sampling with a
// convolution, additive gates on the skips.

#include "mambaseg/nets/attention_unet.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/upsampling.h>

#include "mambaseg/nets/blocks/unet2d.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

namespace nn = torch::nn;

Conv2d conv3(int64_t in, int64_t out) { return Conv2d(nn::Conv2dOptions(in, out, 3).padding(1)); }
Conv2d conv1(int64_t in, int64_t out) { return Conv2d(nn::Conv2dOptions(in, out, 1)); }
nn::ReLU relu() { return nn::ReLU(nn::ReLUOptions(true)); }

/// [convolution 3x3, batch norm, ReLU] twice; prefix "conv".
class ConvBlock : public nn::Module {
 public:
  ConvBlock(int64_t in, int64_t out)
      : conv_(register_module("conv", Sequential(conv3(in, out), BatchNorm2d(out), relu(), conv3(out, out),
                                                 BatchNorm2d(out), relu()))) {}
  torch::Tensor forward(const torch::Tensor& x) { return conv_->forward(x); }

 private:
  Sequential conv_;
};

/// Doubles the grid; prefix "up".
class UpConv : public nn::Module {
 public:
  UpConv(int64_t in, int64_t out)
      : up_(register_module(
            "up", Sequential(nn::Upsample(nn::UpsampleOptions().scale_factor(std::vector<double>{2, 2})),
                             conv3(in, out), BatchNorm2d(out), relu()))) {}
  torch::Tensor forward(const torch::Tensor& x) { return up_->forward(x); }

 private:
  Sequential up_;
};

/// x times a map in 0..1 that the coarser features g decide; prefixes "W_g", "W_x", "psi".
class AttentionGate : public nn::Module {
 public:
  AttentionGate(int64_t channels, int64_t inner) {
    w_g_ = register_module("W_g", Sequential(conv1(channels, inner), BatchNorm2d(inner)));
    w_x_ = register_module("W_x", Sequential(conv1(channels, inner), BatchNorm2d(inner)));
    psi_ = register_module("psi", Sequential(conv1(inner, 1), BatchNorm2d(1), nn::Sigmoid()));
  }
  torch::Tensor forward(const torch::Tensor& g, const torch::Tensor& x) {
    return x * psi_->forward(torch::relu(w_g_->forward(g) + w_x_->forward(x)));
  }

 private:
  Sequential w_g_{nullptr}, w_x_{nullptr}, psi_{nullptr};
};

class AttentionUnet : public Network {
 public:
  explicit AttentionUnet(const UnetSettings& s) {
    const auto& w = s.widths;
    if (w.size() < 2) throw UsageError(concat("widths: expected at least 2 numbers, got ", w.size()));
    for (size_t i = 0; i < w.size(); ++i)
      down_.push_back(register_module("Conv" + std::to_string(i + 1),
                                      std::make_shared<ConvBlock>(i == 0 ? s.in_channels : w[i - 1], w[i])));
    for (size_t i = w.size() - 1; i-- > 0;) {
      const std::string level = std::to_string(i + 2);
      up_.push_back({register_module("Up" + level, std::make_shared<UpConv>(w[i + 1], w[i])),
                     register_module("Att" + level, std::make_shared<AttentionGate>(w[i], w[i] / 2)),
                     register_module("Up_conv" + level, std::make_shared<ConvBlock>(2 * w[i], w[i]))});
    }
    head_ = register_module("Conv_1x1", conv1(w[0], s.classes));
  }

  int64_t size_multiple() const override { return int64_t{1} << (down_.size() - 1); }

  std::vector<torch::Tensor> forward(const torch::Tensor& input) override {
    require(input.dim() == 4 && input.size(2) % size_multiple() == 0 && input.size(3) % size_multiple() == 0,
            "attention_unet: expected (batch, channel, Y, X) with edges that are multiples of ",
            size_multiple(), ", got ", input.sizes());
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
    std::shared_ptr<ConvBlock> conv;
  };
  std::vector<std::shared_ptr<ConvBlock>> down_;  ///< finest first, bottleneck last
  std::vector<UpStage> up_;                       ///< coarsest first
  Conv2d head_{nullptr};
};

}  // namespace

NetworkEntry attention_unet_entry() {
  return {"attention_unet",
          {2},
          "Oktay et al.: Attention U-Net, 2018; github.com/LeeJunHyun/Image_Segmentation",
          "2-D U-Net with additive attention gates on the skips",
          34'878'573,
          [](const Json& settings) -> std::shared_ptr<Network> {
            return std::make_shared<AttentionUnet>(from_json<UnetSettings>(settings));
          },
          [] { return to_json(UnetSettings{}); },
          [] { return documentation<UnetSettings>(); },
          [] {
            return Json{{"classes", 3}, {"widths", {4, 8, 12}}, {"_edge", 16}};
          }};
}

}  // namespace mambaseg
