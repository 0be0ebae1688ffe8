// nnU-Net's plain U-Net (Isensee et al. 2021; PlainConvUNet of dynamic-network-architectures): stages of
// convolution, instance norm and leaky ReLU, strided convolutions down, transposed convolutions up. 2-D or
// 3-D. The default is the plan of a 128^3 patch; other plans are other features, kernels and strides.

#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {
namespace {

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

/// Stages of ConvStack; each is a sequence of one there, so their names are stages.0.0, stages.1.0, ...
class PlainEncoder : public Module {
 public:
  explicit PlainEncoder(const PlainUNetSettings& s) {
    const std::vector<int64_t> counts = per_stage(s.convolutions, s.stages(), "convolutions");
    const auto list = register_module("stages", std::make_shared<torch::nn::Module>());
    int64_t in = s.in_channels;
    for (int64_t stage = 0; stage < s.stages(); ++stage) {
      const auto index = static_cast<size_t>(stage);
      stages_.push_back(std::make_shared<ConvStack>(counts[index], in, s.features[index], s.kernel(stage),
                                                    s.stride(stage)));
      in = s.features[index];
      list->register_module(std::to_string(stage), std::make_shared<torch::nn::Module>())
          ->register_module("0", stages_.back());
    }
  }

  /// The output of every stage, full resolution first.
  std::vector<torch::Tensor> forward(const torch::Tensor& x) {
    std::vector<torch::Tensor> skips;
    for (const auto& stage : stages_) skips.push_back(stage->forward(skips.empty() ? x : skips.back()));
    return skips;
  }

 private:
  std::vector<std::shared_ptr<ConvStack>> stages_;
};

class PlainUNet : public Network {
 public:
  explicit PlainUNet(const PlainUNetSettings& settings)
      : settings_(settings),
        encoder_(register_module("encoder", std::make_shared<PlainEncoder>(settings))),
        decoder_(register_module("decoder",
                                 std::make_shared<NnunetDecoder>(settings, settings.decoder_convolutions))) {}
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    return decoder_->forward(encoder_->forward(x), wants_all_scales() && settings_.deep_supervision);
  }

 private:
  PlainUNetSettings settings_;
  std::shared_ptr<PlainEncoder> encoder_;
  std::shared_ptr<NnunetDecoder> decoder_;
};

Json official_settings(const Json& arguments) {
  PlainUNetSettings s;
  read_shape(arguments, s);
  s.convolutions = stage_numbers(arguments, "n_conv_per_stage");
  s.decoder_convolutions = stage_numbers(arguments, "n_conv_per_stage_decoder");
  return to_json(s);
}

}  // namespace

NetworkEntry plain_unet_entry() {
  return network_entry<PlainUNetSettings>(
      {.name = "plain_unet",
       .dims = {3, 2},
       .source = "Isensee et al.: nnU-Net, Nature Methods 2021, github.com/MIC-DKFZ/nnUNet",
       .summary = "nnU-Net's plain U-Net",
       .parameters = 31'195'594,
       .small = R"({"classes": 3, "features": [4, 6, 8], "convolutions": [2, 1, 1]})",
       .small_edge = 8,
       .official = {{"MIC-DKFZ/dynamic-network-architectures", "PlainConvUNet", official_settings, nullptr,
                     nnunet_name}}},
      [](const PlainUNetSettings& s) {
        s.check();
        return std::make_shared<PlainUNet>(s);
      });
}

}  // namespace mambaseg
