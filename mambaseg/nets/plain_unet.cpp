// nnU-Net's plain U-Net (Isensee et al. 2021; PlainConvUNet of dynamic-network-architectures): stages of
// convolution, instance norm and leaky ReLU, strided convolutions down, transposed convolutions up. 2-D or
// 3-D. The default is the plan of a 128^3 patch; other plans are other features, kernels and strides.

#include "mambaseg/nets/plain_unet.h"

#include <torch/nn/modules/container/modulelist.h>

namespace mambaseg {
namespace {

class PlainEncoder : public torch::nn::Module {
 public:
  explicit PlainEncoder(const PlainUNetSettings& s) {
    const std::vector<int64_t> counts = per_stage(s.convolutions, s.stages(), "convolutions");
    torch::nn::ModuleList list;
    int64_t in = s.in_channels;
    for (int64_t stage = 0; stage < s.stages(); ++stage) {
      const auto index = static_cast<size_t>(stage);
      stages_.push_back(std::make_shared<ConvStack>(counts[index], in, s.features[index], s.kernel(stage),
                                                    s.stride(stage)));
      in = s.features[index];
      torch::nn::ModuleList inner;  // the official stages are sequences of one
      inner->push_back(std::static_pointer_cast<torch::nn::Module>(stages_.back()));
      list->push_back(inner);
    }
    register_module("stages", list);
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
  std::vector<torch::Tensor> forward(const torch::Tensor& x) override {
    return decoder_->forward(encoder_->forward(x), is_training() && settings_.deep_supervision);
  }
  int64_t size_multiple() const override { return settings_.size_multiple(); }

 private:
  PlainUNetSettings settings_;
  std::shared_ptr<PlainEncoder> encoder_;
  std::shared_ptr<NnunetDecoder> decoder_;
};

}  // namespace

std::shared_ptr<Network> make_plain_unet(const PlainUNetSettings& settings) {
  settings.check();
  return std::make_shared<PlainUNet>(settings);
}

NetworkEntry plain_unet_entry() {
  return {"plain_unet",
          {3, 2},
          "Isensee et al.: nnU-Net, Nature Methods 2021, github.com/MIC-DKFZ/nnUNet",
          "nnU-Net's plain U-Net",
          31'195'594,
          [](const Json& settings) { return make_plain_unet(from_json<PlainUNetSettings>(settings)); },
          [] { return to_json(PlainUNetSettings{}); },
          [] { return documentation<PlainUNetSettings>(); },
          [] {
            return Json{{"classes", 3}, {"features", {4, 6, 8}}, {"convolutions", {2, 1, 1}}, {"_edge", 8}};
          }};
}

}  // namespace mambaseg
