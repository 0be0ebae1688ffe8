#pragma once

#include <functional>

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {

/// What U-Net and its variants have in common.
struct UnetSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  std::vector<int64_t> widths{64, 128, 256, 512, 1024};

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the scales, finest first", at_least(1));
  }
};

/// Which module a variant of U-Net puts behind which stages.
struct UnetExtra {
  std::string prefix;           ///< of the module names: prefix + stage
  std::vector<int64_t> stages;  ///< 1 is the finest, widths.size() the bottleneck
  std::function<std::shared_ptr<Layer>(int64_t channels)> make;  ///< keeps the sizes
};

/// How the features of a coarser scale are doubled.
enum class UnetGrowth {
  transposed,  ///< transposed convolution to the channels of the skip
  bilinear     ///< interpolation, corners aligned; half as many channels between the two convolutions
};

/// The features of the coarser scale, doubled, padded with zeros to those of the skip (the smaller half
/// before) and joined to them behind; two convolutions. Prefixes "up" and "conv.double_conv".
class UnetUp : public Module {
 public:
  UnetUp(int64_t deep, int64_t skip, int64_t out, UnetGrowth growth = UnetGrowth::transposed);
  torch::Tensor forward(const torch::Tensor& deep_BCYX, const torch::Tensor& skip_BCYX);

 private:
  std::shared_ptr<TransposedConvolution> grow_;  ///< or null
  std::shared_ptr<Sequence> conv_;
};

/// U-Net (Ronneberger et al. 2015) with padded convolutions and batch norm, built and named as in
/// github.com/milesial/Pytorch-UNet. With bilinear growth the bottleneck and what the decoder's stages give,
/// but for the finest, have half the channels. `extra` modules follow the double convolutions of encoder
/// stages; what leaves them goes into the skip and down. UsageError for a stage that does not exist.
class Unet : public Network {
 public:
  explicit Unet(const UnetSettings& settings, const UnetExtra& extra = {},
                UnetGrowth growth = UnetGrowth::transposed);
  Extent size_multiples() const override;
  Extent least_sizes() const override;

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  std::vector<std::shared_ptr<Sequence>> down_;  ///< finest first, bottleneck last
  std::vector<std::shared_ptr<Layer>> extras_;   ///< one a stage, or null
  std::vector<std::shared_ptr<UnetUp>> up_;      ///< coarsest first
  std::shared_ptr<Convolution> head_;
};

}  // namespace mambaseg
