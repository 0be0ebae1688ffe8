#pragma once

#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {

struct PlainUNetSettings : UNetShape {
  std::vector<int64_t> convolutions{2};
  std::vector<int64_t> decoder_convolutions{2};
  void describe(SettingsVisitor& visit) {
    UNetShape::describe(visit);
    visit("convolutions", convolutions, "convolutions of each encoder stage; one number stands for all",
          at_least(1));
    visit("decoder_convolutions", decoder_convolutions,
          "convolutions of each decoder stage, coarsest first; one number stands for all", at_least(1));
  }
};

class PlainEncoder;

/// nnU-Net's plain U-Net (dynamic-network-architectures, PlainConvUNet). Prefixes "encoder", "decoder".
class PlainUNet : public Network {
 public:
  /// UsageError unless the settings fit each other.
  explicit PlainUNet(const PlainUNetSettings& settings);
  Extent size_multiples() const override { return settings_.size_multiples(); }
  /// Full resolution first; coarsest first.
  std::vector<std::shared_ptr<ConvStack>> encoder_stages() const;
  std::vector<std::shared_ptr<ConvStack>> decoder_stages() const;

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  PlainUNetSettings settings_;
  std::shared_ptr<PlainEncoder> encoder_;
  std::shared_ptr<NnunetDecoder> decoder_;
};

/// The settings that the arguments of the official constructor give.
void read_plain_unet_arguments(const Json& arguments, PlainUNetSettings& settings);

}  // namespace mambaseg
