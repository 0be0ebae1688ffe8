#pragma once

#include "mambaseg/nets/blocks/conv3d_blocks.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// The convolutional part that MedSegMamba, SegMambaBot and TABSurfer share.
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
  int64_t fold = 1;

  // No settings of MedSegMamba: what TABSurfer, from which it comes, has otherwise.
  bool single_convolutions = false;  ///< one in a residual block
  int64_t final_width = 0;           ///< channels of the last block; 0: as full_final_block says
  bool head_norm = true;             ///< a norm behind the bottleneck; else its parameters have no effect

  void describe(SettingsVisitor& visit) {
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
    visit("fold", fold,
          "voxels along each axis that are folded into channels before the first layer, whose scores unfold "
          "them again: full resolution is then that of the folded grid (ours; 1 as published)",
          at_least(1));
  }
};

/// Encoder, bottleneck on the grid of 1/8 resolution (tokens, channels last), decoder with skip connections.
/// Module names are those of the official MedSegMamba; forward returns logits, the official one their
/// softmax. Observers see "downconv2", "bottleneck", "up_conv4".
class MedSegMamba : public Network {
 public:
  MedSegMamba(const MedSegMambaShell& settings, std::shared_ptr<Layer> bottleneck);
  Extent size_multiples() const override { return cube(3, 8 * fold_); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  int64_t fold_;
  bool head_norm_;
  std::shared_ptr<Convolution> preconv_, expand_, conv_1x1_;
  std::shared_ptr<GroupNorm> gn_;
  std::shared_ptr<LayerNorm> pre_head_ln_;
  std::shared_ptr<ResBlock3d> conv1_, up_conv4_, up_conv3_, up_conv2_;
  std::shared_ptr<DownBlock3d> downconv1_, downconv2_, downconv3_;
  std::shared_ptr<UpBlock3d> up4_, up3_, up2_;
  std::shared_ptr<ConvBlock3d> compress_;
  std::shared_ptr<Layer> bottleneck_;
};

}  // namespace mambaseg
