// nnU-Net's U-Net with a residual encoder (Isensee et al. 2024; ResidualEncoderUNet of
// dynamic-network-architectures): a stem, stages of ResNet-D blocks, the decoder of the plain U-Net. 2-D or
// 3-D. The default is the "L" preset.

#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {
namespace {

struct ResencUNetSettings : UNetShape {
  std::vector<int64_t> blocks{1, 3, 4, 6, 6, 6};
  std::vector<int64_t> decoder_convolutions{1};
  bool squeeze_excitation = false;
  void describe(SettingsVisitor& visit) {
    UNetShape::describe(visit);
    visit("blocks", blocks, "residual blocks of each encoder stage; one number stands for all", at_least(1));
    visit("decoder_convolutions", decoder_convolutions,
          "convolutions of each decoder stage, coarsest first; one number stands for all", at_least(1));
    visit("squeeze_excitation", squeeze_excitation, "squeeze and excitation in the residual blocks");
  }
};

class ResencUNet : public Network {
 public:
  explicit ResencUNet(const ResencUNetSettings& settings)
      : settings_(settings),
        encoder_(register_module("encoder", std::make_shared<ResidualEncoder>(settings, settings.blocks,
                                                                              settings.squeeze_excitation))),
        decoder_(register_module("decoder",
                                 std::make_shared<NnunetDecoder>(settings, settings.decoder_convolutions))) {
    for (const auto& part : modules(/*include_self=*/false))
      if (auto* block = dynamic_cast<BasicBlockD*>(part.get())) block->silence();
  }
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    return decoder_->forward(encoder_->forward(x), wants_all_scales() && settings_.deep_supervision);
  }

 private:
  ResencUNetSettings settings_;
  std::shared_ptr<ResidualEncoder> encoder_;
  std::shared_ptr<NnunetDecoder> decoder_;
};

Json official_settings(const Json& arguments) {
  ResencUNetSettings s;
  read_shape(arguments, s);
  s.blocks = stage_numbers(arguments, "n_blocks_per_stage");
  s.decoder_convolutions = stage_numbers(arguments, "n_conv_per_stage_decoder");
  s.squeeze_excitation = argument(arguments, "squeeze_excitation", argument(arguments, "se", false));
  return to_json(s);
}

}  // namespace

NetworkEntry resenc_unet_entry() {
  return network_entry<ResencUNetSettings>(
      {.name = "resenc_unet",
       .dims = {3, 2},
       .source = "Isensee et al.: nnU-Net Revisited, MICCAI 2024, github.com/MIC-DKFZ/nnUNet",
       .summary = "nnU-Net's U-Net with a residual encoder",
       .parameters = 102'349'770,
       .small = R"({"classes": 3, "features": [4, 6, 8], "blocks": [1, 2, 1], "squeeze_excitation": true})",
       .small_edge = 8,
       .official = {{"MIC-DKFZ/dynamic-network-architectures", "ResidualEncoderUNet", official_settings,
                     nullptr, nnunet_name}}},
      [](const ResencUNetSettings& s) {
        s.check();
        return std::make_shared<ResencUNet>(s);
      });
}

}  // namespace mambaseg
