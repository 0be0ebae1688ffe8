#pragma once

#include <functional>

#include "mambaseg/nets/blocks/conv3d_blocks.h"
#include "mambaseg/nets/blocks/token_module.h"
#include "mambaseg/nets/network.h"

namespace mambaseg {

/// The convolutional part that MedSegMamba and SegMambaBot share.
struct MedSegMambaShell {
  int64_t in_channels = 1;
  int64_t classes = 32;
  std::vector<int64_t> widths{32, 64, 128, 256};
  int64_t token_width = 1024;
  bool preactivation = false;
  bool plain_identity = false;
  bool max_pool = true;
  bool nearest_up = true;
  bool full_final_block = true;

  template <class Visitor>
  void describe(Visitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("widths", widths, "channels at full, 1/2, 1/4 and 1/8 resolution, multiples of 8", at_least(8));
    visit("token_width", token_width, "channels of the tokens in the bottleneck", at_least(1));
    visit("preactivation", preactivation, "norm, ReLU, convolution instead of convolution, norm, ReLU");
    visit("plain_identity", plain_identity, "no 1x1x1 convolution on residuals where the channels agree");
    visit("max_pool", max_pool, "halve the grid by max pooling instead of strided convolutions");
    visit("nearest_up", nearest_up,
          "double the grid by nearest neighbour instead of transposed convolutions");
    visit("full_final_block", full_final_block, "keep twice the first width in the last block");
  }
};

/// The bottleneck of MedSegMamba.
struct MedSegMambaSettings : MedSegMambaShell {
  std::string bottleneck = "v5";
  int64_t layers = 9;
  int64_t states = 64;
  double expand = 1;
  int64_t mlp_ratio = 1;
  int64_t conv_kernel = 3;
  int64_t dt_rank = 0;
  bool ssm_bias = false;
  std::string walk = "snake";
  std::vector<int64_t> orientations;
  double dropout = 0.1;
  double mlp_dropout = 0.1;
  double drop_path = 0.3;
  int64_t heads = 16;
  int64_t edge = 96;

  template <class Visitor>
  void describe(Visitor& visit) {
    MedSegMambaShell::describe(visit);
    visit("bottleneck", bottleneck,
          "v5: 8 of 48 snakes a block; v6: 6 raster walks; vanilla: 4 raster walks and a gate, no MLP; "
          "transformer: "
          "TABSurfer's attention",
          one_of({"v5", "v6", "vanilla", "transformer"}));
    visit("layers", layers, "blocks in the bottleneck", at_least(1));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("expand", expand, "channels inside the mixer / token_width", between(0.01, 8));
    visit("mlp_ratio", mlp_ratio, "hidden channels of the MLP / token_width", at_least(1));
    visit("conv_kernel", conv_kernel, "edge of the depthwise convolution in the mixer, odd", between(1, 15));
    visit("dt_rank", dt_rank, "rank of the time step projection, 0: token_width / 16", at_least(0));
    visit("ssm_bias", ssm_bias, "bias in the projections of the mixer");
    visit("walk", walk, "base curve of v5", one_of({"snake", "sweep"}));
    visit("orientations", orientations, "walks of each block; empty: 0, 1, 2, ... around", at_least(0));
    visit("dropout", dropout, "training: dropout after the mixer, or on the attention", between(0, 1));
    visit("mlp_dropout", mlp_dropout, "training: dropout in the MLP", between(0, 1));
    visit("drop_path", drop_path, "training: chance that a residual branch is left out for a sample",
          between(0, 1));
    visit("heads", heads, "attention heads of the transformer bottleneck", at_least(1));
    visit("edge", edge, "input edge that the transformer bottleneck learns positions for", at_least(8));
  }
};

/// Encoder, bottleneck on the grid of 1/8 resolution, decoder with skip connections. Module names are those
/// of the official MedSegMamba; forward returns logits, the official one their softmax.
class MedSegMamba : public Network {
 public:
  MedSegMamba(const MedSegMambaShell& settings, std::shared_ptr<TokenModule> bottleneck);

  /// Called with the module name and output of some stages: "downconv2", "bottleneck", "Up_conv4".
  using Observer = std::function<void(const std::string& module, const torch::Tensor& output)>;

  /// x (B, in_channels, Z, Y, X) -> logits (B, classes, Z, Y, X)
  torch::Tensor logits(const torch::Tensor& x, const Observer& observe = {});
  std::vector<torch::Tensor> forward(const torch::Tensor& x) override { return {logits(x)}; }
  int64_t size_multiple() const override { return 8; }

 private:
  Conv3d preconv_{nullptr}, expand_{nullptr}, conv_1x1_{nullptr};
  GroupNorm gn_{nullptr};
  LayerNorm pre_head_ln_{nullptr};
  std::shared_ptr<ResBlock3d> conv1_, up_conv4_, up_conv3_, up_conv2_;
  std::shared_ptr<DownBlock3d> downconv1_, downconv2_, downconv3_;
  std::shared_ptr<UpBlock3d> up4_, up3_, up2_;
  std::shared_ptr<ConvBlock3d> compress_;
  std::shared_ptr<TokenModule> bottleneck_;
};

std::shared_ptr<MedSegMamba> make_medsegmamba(const MedSegMambaSettings& settings);
/// The bottleneck alone.
std::shared_ptr<TokenModule> make_medsegmamba_bottleneck(const MedSegMambaSettings& settings);

NetworkEntry medsegmamba_entry();

}  // namespace mambaseg
