// xLSTM-UNet (Chen et al. 2024): U-Mamba's U-Net with Vision-LSTM in place of Mamba, on the deepest features
// or behind encoder stages. After its public code, whose module names it keeps. There, as here, the first
// three stages of the 3-D encoder have residual blocks behind them instead, and the tokens are read in one
// direction. Each layer has a norm that nothing passes; it is kept where `unused` says so.

#include "mambaseg/nets/blocks/umamba.h"
#include "mambaseg/nets/blocks/vision_lstm.h"

namespace mambaseg {
namespace {

struct XlstmUnetSettings : UMambaShape {
  bool unused = true;
  void describe(SettingsVisitor& visit) {
    UMambaShape::describe(visit);
    visit("unused", unused, "keep the norms of the official class that nothing passes");
  }
};

struct XlstmUnetEncSettings : XlstmUnetSettings {
  Extent patch;
  void describe(SettingsVisitor& visit) {
    XlstmUnetSettings::describe(visit);
    visit("patch", patch,
          "input size the network is made for; empty: 128 along each axis. A stage with no more voxels than "
          "channels takes its channels as tokens and then accepts this size only",
          at_least(1));
  }
};

/// Prefixes "norm" (unused), "vil".
class VilLayer : public VoxelTokens {
 public:
  VilLayer(int64_t width, bool channel_tokens, bool unused) : VoxelTokens(width, channel_tokens) {
    if (width % 2 != 0)
      throw UsageError(
          concat("network: Vision-LSTM needs an even number of channels, or of voxels where the "
                 "channels are the tokens, not ",
                 width));
    if (unused) register_module("norm", std::make_shared<LayerNorm>(width));
    vil_ = register_module("vil", std::make_shared<VilBlock>(width));
  }

 protected:
  torch::Tensor mixed(const torch::Tensor& tokens) override { return vil_->forward(tokens); }

 private:
  std::shared_ptr<VilBlock> vil_;
};

std::shared_ptr<Network> make(const XlstmUnetSettings& s) {
  s.check();
  return std::make_shared<UMamba>(
      s, UMambaMixers{.bottleneck = std::make_shared<VilLayer>(s.features.back(), false, s.unused),
                      .bottleneck_name = "xlstm"});
}

std::shared_ptr<Network> make_enc(const XlstmUnetEncSettings& s) {
  s.check();
  const std::vector<int64_t> voxels = stage_voxels(s, s.patch);
  UMambaMixers mixers{.stages_name = "xlstm_layers"};
  for (int64_t stage = 0; stage < s.stages(); ++stage) {
    const auto i = static_cast<size_t>(stage);
    const int64_t channels = s.features[i];
    const bool vil = s.dimension == 3 ? stage > 2 : stage > 1 && stage % 2 != s.stages() % 2;
    const bool block = !vil && (s.dimension == 3 || stage == 1);
    std::shared_ptr<Layer> mixer;
    if (vil) {
      const bool channel_tokens = voxels[i] <= channels;
      mixer = std::make_shared<VilLayer>(channel_tokens ? voxels[i] : channels, channel_tokens, s.unused);
    } else if (block) {
      mixer = std::make_shared<BasicBlockD>(channels, channels, s.kernel(stage), cube(s.dimension, 1));
    }
    mixers.stages.push_back(mixer);
  }
  auto network = std::make_shared<UMamba>(s, mixers);
  for (const auto& part : network->modules())
    if (auto* block = dynamic_cast<BasicBlockD*>(part.get())) block->silence();
  return network;
}

Json official_settings(const Json& arguments) {
  XlstmUnetSettings s;
  read_umamba_arguments(arguments, s);
  return to_json(s);
}

Json official_enc_settings(const Json& arguments) {
  XlstmUnetEncSettings s;
  read_umamba_arguments(arguments, s);
  s.patch = arguments.at("input_size").get<Extent>();
  return to_json(s);
}

constexpr const char* kSource =
    "Chen et al.: xLSTM-UNet can be an Effective 2D & 3D Medical Image Segmentation Backbone, 2024; "
    "github.com/tianrun-chen/xLSTM-UNet-PyTorch";
constexpr const char* kRepository = "tianrun-chen/xLSTM-UNet-PyTorch";

}  // namespace

NetworkEntry xlstm_unet_bot_entry() {
  return network_entry<XlstmUnetSettings>(
      {.name = "xlstm_unet_bot",
       .dims = {3, 2},
       .source = kSource,
       .summary = "U-Mamba's residual U-Net with Vision-LSTM on the deepest features",
       .parameters = 42'087'442,
       .small = R"({"classes": 3, "features": [4, 6, 8], "unused": false})",
       .small_edge = 8,
       .official = {{kRepository, "UXlstmBot", official_settings, nullptr, nnunet_name}}},
      [](const XlstmUnetSettings& s) { return make(s); });
}

NetworkEntry xlstm_unet_enc_entry() {
  return network_entry<XlstmUnetEncSettings>(
      {.name = "xlstm_unet_enc",
       .dims = {3, 2},
       .source = kSource,
       .summary = "U-Mamba's residual U-Net with Vision-LSTM behind the deeper encoder stages",
       .parameters = 43'696'290,
       .small = R"({"classes": 3, "features": [4, 4, 6, 6], "unused": false})",
       .small_edge = 8,
       .official = {{kRepository, "UXlstmEnc", official_enc_settings, nullptr, nnunet_name}}},
      [](const XlstmUnetEncSettings& s) { return make_enc(s); });
}

}  // namespace mambaseg
