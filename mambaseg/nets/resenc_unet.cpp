// nnU-Net's U-Net with a residual encoder (Isensee et al. 2024; ResidualEncoderUNet of
// dynamic-network-architectures): a stem, stages of ResNet-D blocks, the decoder of the plain U-Net. 2-D or
// 3-D. The default is the "L" preset.

#include "mambaseg/nets/resenc_unet.h"

namespace mambaseg {
namespace {

/// Residual blocks one after the other. Prefix "blocks".
class ResidualStage : public torch::nn::Module {
 public:
  ResidualStage(int64_t count, int64_t in, int64_t out, const Extent& kernel, const Extent& stride,
                bool squeeze_excitation) {
    for (int64_t i = 0; i < count; ++i)
      blocks_.push_back(std::make_shared<BasicBlockD>(
          i == 0 ? in : out, out, kernel, i == 0 ? stride : Extent(kernel.size(), 1), squeeze_excitation));
    register_list(*this, "blocks", blocks_);
  }
  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = x;
    for (const auto& block : blocks_) y = block->forward(y);
    return y;
  }

 private:
  std::vector<std::shared_ptr<BasicBlockD>> blocks_;
};

class ResidualEncoder : public torch::nn::Module {
 public:
  explicit ResidualEncoder(const ResencUNetSettings& s) {
    const std::vector<int64_t> counts = per_stage(s.blocks, s.stages(), "blocks");
    int64_t in = s.features[0];
    stem_ = register_module("stem", std::make_shared<ConvStack>(1, s.in_channels, in, s.kernel(0), Extent{}));
    for (int64_t stage = 0; stage < s.stages(); ++stage) {
      const auto index = static_cast<size_t>(stage);
      stages_.push_back(std::make_shared<ResidualStage>(counts[index], in, s.features[index], s.kernel(stage),
                                                        s.stride(stage), s.squeeze_excitation));
      in = s.features[index];
    }
    register_list(*this, "stages", stages_);
  }

  /// The output of every stage, full resolution first.
  std::vector<torch::Tensor> forward(const torch::Tensor& x) {
    std::vector<torch::Tensor> skips;
    torch::Tensor y = stem_->forward(x);
    for (const auto& stage : stages_) skips.push_back(y = stage->forward(y));
    return skips;
  }

 private:
  std::shared_ptr<ConvStack> stem_;
  std::vector<std::shared_ptr<ResidualStage>> stages_;
};

class ResencUNet : public Network {
 public:
  explicit ResencUNet(const ResencUNetSettings& settings)
      : settings_(settings),
        encoder_(register_module("encoder", std::make_shared<ResidualEncoder>(settings))),
        decoder_(register_module("decoder",
                                 std::make_shared<NnunetDecoder>(settings, settings.decoder_convolutions))) {
    for (const auto& part : modules(/*include_self=*/false))
      if (auto* block = part->as<BasicBlockD>()) block->silence();
  }
  std::vector<torch::Tensor> forward(const torch::Tensor& x) override {
    return decoder_->forward(encoder_->forward(x), is_training() && settings_.deep_supervision);
  }
  int64_t size_multiple() const override { return settings_.size_multiple(); }

 private:
  ResencUNetSettings settings_;
  std::shared_ptr<ResidualEncoder> encoder_;
  std::shared_ptr<NnunetDecoder> decoder_;
};

}  // namespace

std::shared_ptr<Network> make_resenc_unet(const ResencUNetSettings& settings) {
  settings.check();
  return std::make_shared<ResencUNet>(settings);
}

NetworkEntry resenc_unet_entry() {
  return {"resenc_unet",
          {3, 2},
          "Isensee et al.: nnU-Net Revisited, MICCAI 2024, github.com/MIC-DKFZ/nnUNet",
          "nnU-Net's U-Net with a residual encoder",
          102'349'770,
          [](const Json& settings) { return make_resenc_unet(from_json<ResencUNetSettings>(settings)); },
          [] { return to_json(ResencUNetSettings{}); },
          [] { return documentation<ResencUNetSettings>(); },
          [] {
            return Json{{"classes", 3},
                        {"features", {4, 6, 8}},
                        {"blocks", {1, 2, 1}},
                        {"squeeze_excitation", true},
                        {"_edge", 8}};
          }};
}

}  // namespace mambaseg
