// MambaVesselNet: the network of "MambaVesselNet++: A Hybrid CNN-Mamba Architecture for Medical Image
// Segmentation" (Xu et al. 2025), after its public code, whose module names it keeps: UNETR's convolutional
// blocks around a bottleneck of bidirectional Mamba. The parts that the second paper adds (texture-aware
// layer, bifocal fusion, instance head) are not public and not here.
//
// As there, nothing in the bottleneck has a residual: sixteen Mamba layers and eight MLPs replace the
// features one after the other. Made for three dimensions there; here for two as well.

#include "mambaseg/nets/blocks/bidirectional_mamba.h"
#include "mambaseg/nets/blocks/map_norm.h"
#include "mambaseg/nets/blocks/segmamba_blocks.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

constexpr double kMapEps = 1e-6;

struct MambaVesselNetSettings {
  int64_t dimension = 3;
  int64_t in_channels = 1;
  int64_t classes = 2;
  std::vector<int64_t> widths{48, 96, 192, 384, 768};
  int64_t blocks = 4;
  int64_t depth = 2;
  int64_t states = 16;

  void describe(SettingsVisitor& visit) {
    visit("dims", dimension, "spatial dimensions, 2 or 3", between(2, 3));
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("widths", widths, "channels of the scales, full resolution first", at_least(1));
    visit("blocks", blocks, "Mamba blocks that end the encoder, and as many that begin the decoder",
          at_least(0));
    visit("depth", depth, "Mamba layers of each block", at_least(1));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
  }
};

/// Mamba(norm(x)) on the voxels in raster order, both ways. Prefixes "norm", "mamba".
class BidirectionalLayer : public Layer {
 public:
  explicit BidirectionalLayer(const MambaSettings& mamba)
      : norm_(register_module("norm", std::make_shared<LayerNorm>(mamba.width))),
        mamba_(register_module("mamba",
                               std::make_shared<BidirectionalMamba>(BidirectionalMambaSettings{mamba}))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return mamba_->forward(norm_->forward(x.movedim(1, -1))).movedim(-1, 1);
  }

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<BidirectionalMamba> mamba_;
};

/// Halves the grid: convolution of edge 2, norm.
std::shared_ptr<Sequence> halving(int64_t dims, int64_t in, int64_t out) {
  return sequence({conv(dims, in, out, 2, {.stride = cube(dims, 2), .padding = cube(dims, 0)}),
                   std::make_shared<MapLayerNorm>(out, kMapEps)});
}

/// Mamba layers, norm, MLP. Prefixes "downsample_layer" (where the block halves the grid first),
/// "mamba_layers", "norm", "mlp".
class VesselBlock : public Layer {
 public:
  VesselBlock(const MambaSettings& mamba, int64_t depth, std::shared_ptr<Sequence> halving = nullptr)
      : halving_(std::move(halving)) {
    if (halving_) register_module("downsample_layer", halving_);
    for (int64_t i = 0; i < depth; ++i) layers_.push_back(std::make_shared<BidirectionalLayer>(mamba));
    register_list(*this, "mamba_layers", layers_);
    norm_ = register_module("norm", std::make_shared<MapLayerNorm>(mamba.width, kMapEps));
    mlp_ = register_module("mlp", std::make_shared<ChannelMlp>(mamba.width, 4 * mamba.width, mamba.dims));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor y = halving_ ? halving_->forward(x) : x;
    for (const auto& layer : layers_) y = layer->forward(y);
    return mlp_->forward(norm_->forward(y));
  }

 private:
  std::shared_ptr<Sequence> halving_;
  std::vector<std::shared_ptr<BidirectionalLayer>> layers_;
  std::shared_ptr<MapLayerNorm> norm_;
  std::shared_ptr<ChannelMlp> mlp_;
};

class MambaVesselNet : public Network {
 public:
  explicit MambaVesselNet(const MambaVesselNetSettings& s);
  Extent size_multiples() const override { return cube(dims_, int64_t{1} << halvings_.size()); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  int64_t dims_;
  std::vector<std::shared_ptr<UnetrBasicBlock>> encoders_;  ///< full resolution first
  std::vector<std::shared_ptr<Sequence>> halvings_;
  std::vector<std::shared_ptr<VesselBlock>> bottleneck_;
  std::vector<std::shared_ptr<UnetrUpBlock>> decoders_;  ///< coarsest first
  std::shared_ptr<UnetrBasicBlock> last_;
  std::shared_ptr<Layer> head_;
};

MambaVesselNet::MambaVesselNet(const MambaVesselNetSettings& s) : dims_(s.dimension) {
  const std::vector<int64_t>& w = s.widths;
  if (w.size() < 2) throw UsageError(concat("widths: expected two scales at least, got ", w.size()));
  for (size_t i = 0; i < w.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    encoders_.push_back(
        register_module("enc_conv" + number,
                        std::make_shared<UnetrBasicBlock>(dims_, i == 0 ? s.in_channels : w[i - 1], w[i])));
    if (i + 1 < w.size())
      halvings_.push_back(register_module("downsample" + number, halving(dims_, w[i], w[i])));
  }
  const MambaSettings mamba{.width = w.back(), .states = s.states, .dims = dims_};
  for (const char* part : {"enc_mamba", "dec_mamba"})
    for (int64_t i = 1; i <= s.blocks; ++i)
      bottleneck_.push_back(
          register_module(part + std::to_string(i), std::make_shared<VesselBlock>(mamba, s.depth)));
  for (size_t i = w.size() - 1; i > 0; --i)
    decoders_.push_back(register_module("dec_conv" + std::to_string(i + 1),
                                        std::make_shared<UnetrUpBlock>(dims_, w[i], w[i - 1])));
  last_ = register_module("dec_conv1", std::make_shared<UnetrBasicBlock>(dims_, w[0], w[0]));
  head_ = register_module("out", unetr_head(dims_, w[0], s.classes));
}

std::vector<torch::Tensor> MambaVesselNet::scores(const torch::Tensor& image) {
  std::vector<torch::Tensor> skips;
  torch::Tensor x = image;
  for (size_t i = 0; i < halvings_.size(); ++i) {
    skips.push_back(encoders_[i]->forward(x));
    x = halvings_[i]->forward(skips.back());
  }
  x = encoders_.back()->forward(x);
  for (const auto& block : bottleneck_) x = block->forward(x);
  for (const auto& decoder : decoders_) {
    x = decoder->forward(x, skips.back());
    skips.pop_back();
  }
  return {head_->forward(last_->forward(x))};
}

Json official_settings(const Json& a) {
  MambaVesselNetSettings s;
  s.in_channels = argument<int64_t>(a, "in_chans", 1);
  s.classes = argument<int64_t>(a, "out_chans", 13);
  s.widths = argument(a, "feature_dims", s.widths);
  return to_json(s);
}

std::shared_ptr<torch::nn::Module> official_block(const Json& a) {
  const int64_t in = a.at("in_channels"), out = argument<int64_t>(a, "out_channels", in);
  const bool halves = argument(a, "downsample", true);
  return std::make_shared<VesselBlock>(MambaSettings{.width = out, .dims = 3},
                                       argument<int64_t>(a, "depth", 2),
                                       halves ? halving(3, in, out) : nullptr);
}

constexpr const char* kRepository = "CC0117/MambaVesselNet";

}  // namespace

NetworkEntry mambavesselnet_entry() {
  return hybrid_entry<MambaVesselNetSettings>(
      {.name = "mambavesselnet",
       .dims = {3, 2},
       .source =
           "Xu et al.: MambaVesselNet++: A Hybrid CNN-Mamba Architecture for Medical Image Segmentation, "
           "2025; github.com/CC0117/MambaVesselNet",
       .summary = "UNETR's convolutional blocks around a bottleneck of bidirectional Mamba",
       .parameters = 155'124'242,
       .small = R"({"classes": 3, "widths": [4, 6, 8], "blocks": 1, "depth": 1, "states": 2})",
       .small_edge = 8,
       .official = {{kRepository, "mvnNet", official_settings}},
       .blocks = {{kRepository, {"MambaBlock"}, official_block}}},
      [](const MambaVesselNetSettings& s) { return std::make_shared<MambaVesselNet>(s); });
}

}  // namespace mambaseg
