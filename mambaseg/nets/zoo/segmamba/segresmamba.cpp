// SegResMamba: An Efficient Architecture for 3D Medical Image Segmentation (MIDL 2025), after its public
// code, whose module names it keeps: an encoder of convolutions around Mamba at half of each scale's
// resolution, and the decoder of SegResNet.
//
// The published class builds its Mamba layers and never calls them: what it computes is convolutional. Here
// they are called, where the paper's figure has them, unless `mamba` is false. The class also builds all of
// SegResNet, whose encoder reaches no score: 39.6 of 111.6 million parameters (41.1 with the Mamba layers),
// kept where `unused` says so, for the count; files of weights load with and without.

#include "mambaseg/nets/blocks/segmamba_blocks.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {
namespace {

constexpr int64_t kGroups = 8;
constexpr int64_t kSegResNetChannels = 4;  // of image and scores in what nothing reads
constexpr int64_t kSlices = 4;

struct SegResMambaSettings {
  int64_t in_channels = 4;
  int64_t classes = 3;
  std::vector<int64_t> widths{48, 96, 192, 384};
  int64_t states = 16;
  bool mamba = true;
  bool unused = true;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores", at_least(1));
    visit("widths", widths, "channels of the scales, 1/2 of the resolution first; multiples of 8",
          at_least(8));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("mamba", mamba, "false: the Mamba layers are not called, as in the published code");
    visit("unused", unused, "keep the parameters of the official class that nothing reads");
  }
};

/// GSC: x + what a convolution with stride 2, a convolution, Mamba, a convolution and a transposed
/// convolution make of it, a norm and a ReLU behind each convolution. Of an odd axis, which comes back one
/// longer, the first slice is cut off. Prefixes "proj", "proj3", "mamba_layer", "proj4", "proj5".
class HalvedMixer : public Layer {
 public:
  HalvedMixer(int64_t width, const SegResMambaSettings& s)
      : called_(s.mamba),
        shrink_(register_module("proj", conv(3, width, width, 5, {.stride = cube(3, 2)}))),
        before_(register_module("proj3", conv(3, width, width, 3))),
        behind_(register_module("proj4", conv(3, width, width, 3))),
        grow_(register_module(
            "proj5", std::make_shared<TransposedConvolution>(
                         width, width, cube(3, 5),
                         TransposedSettings{
                             .stride = cube(3, 2), .padding = cube(3, 2), .output_padding = cube(3, 1)}))) {
    if (s.mamba || s.unused)
      mamba_ = register_module(
          "mamba_layer",
          std::make_shared<TriOrientatedLayer>(
              TriOrientatedMambaSettings{.width = width, .states = s.states, .slices = kSlices}, false));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor y = rectified(before_->forward(rectified(shrink_->forward(x))));
    if (called_) y = mixed(y);
    y = rectified(grow_->forward(rectified(behind_->forward(y))));
    for (int64_t axis = 2; axis < 5; ++axis) y = y.narrow(axis, y.size(axis) - x.size(axis), x.size(axis));
    return x + y;
  }

 private:
  torch::Tensor rectified(const torch::Tensor& y) { return norm_.run(y, {Activation::relu, {}}); }
  /// Mamba on the grid, padded with zeros to even sizes.
  torch::Tensor mixed(const torch::Tensor& x) {
    const int64_t Z = x.size(2), Y = x.size(3), X = x.size(4);
    const torch::Tensor even = torch::constant_pad_nd(x, {0, X % 2, 0, Y % 2, 0, Z % 2});
    return mamba_->forward(even).narrow(2, 0, Z).narrow(3, 0, Y).narrow(4, 0, X);
  }
  bool called_;
  std::shared_ptr<Convolution> shrink_, before_, behind_;
  std::shared_ptr<TransposedConvolution> grow_;
  std::shared_ptr<TriOrientatedLayer> mamba_;
  PlainInstanceNorm norm_;
};

std::shared_ptr<MonaiConvolution> without_bias(int64_t in, int64_t out, int64_t edge,
                                               const Extent& stride = {}) {
  return std::make_shared<MonaiConvolution>(conv(3, in, out, edge, {.stride = stride, .bias = false}));
}

/// x + conv(relu(norm(conv(relu(norm(x)))))). Prefixes "norm1", "conv1.conv", "norm2", "conv2.conv".
class PreNormBlock : public Layer {
 public:
  explicit PreNormBlock(int64_t width)
      : norm1_(register_module("norm1", std::make_shared<GroupNorm>(kGroups, width))),
        norm2_(register_module("norm2", std::make_shared<GroupNorm>(kGroups, width))),
        conv1_(register_module("conv1", without_bias(width, width, 3))),
        conv2_(register_module("conv2", without_bias(width, width, 3))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor y = conv1_->forward(norm1_->run(x, {Activation::relu, {}}));
    return x + conv2_->forward(norm2_->run(y, {Activation::relu, {}}));
  }

 private:
  std::shared_ptr<GroupNorm> norm1_, norm2_;
  std::shared_ptr<MonaiConvolution> conv1_, conv2_;
};

/// The parts of SegResNet that the official class does not use.
void register_unused(torch::nn::Module& segresnet, const std::vector<int64_t>& widths) {
  constexpr int64_t kBlocks[] = {1, 2, 2, 4};
  segresnet.register_module("convInit", without_bias(kSegResNetChannels, widths[0], 3));
  std::vector<std::shared_ptr<Sequence>> levels;
  for (size_t i = 0; i < widths.size(); ++i) {
    levels.push_back(sequence({i == 0 ? std::static_pointer_cast<Layer>(activation(Activation::none))
                                      : without_bias(widths[i - 1], widths[i], 3, cube(3, 2))}));
    for (int64_t k = 0; k < kBlocks[std::min<size_t>(i, 3)]; ++k)
      levels.back()->push_back(std::make_shared<PreNormBlock>(widths[i]));
  }
  register_list(segresnet, "down_layers", levels);
  segresnet.register_module(
      "conv_final",
      sequence({std::make_shared<GroupNorm>(kGroups, widths[0]), relu(),
                std::make_shared<MonaiConvolution>(conv(3, widths[0], kSegResNetChannels, 1))}));
}

class SegResMamba : public Network, public ComputesEntries {
 public:
  explicit SegResMamba(const SegResMambaSettings& s);
  Extent size_multiples() const override { return cube(3, int64_t{1} << shrink_.size()); }
  /// What nothing reads.
  bool check_computed(const std::string& name, const torch::Tensor&) const override {
    return name.find(".mamba_layer.") != std::string::npos || name.starts_with("segresnet.convInit.") ||
           name.starts_with("segresnet.down_layers.") || name.starts_with("segresnet.conv_final.");
  }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  std::vector<std::shared_ptr<Layer>> shrink_, gates_, stages_, mlps_;  ///< one a scale, finest first
  std::vector<std::shared_ptr<Layer>> narrow_, up_;                     ///< coarsest first
  std::shared_ptr<TransposedConvolution> head_;
  PlainInstanceNorm norm_;
};

SegResMamba::SegResMamba(const SegResMambaSettings& s) {
  if (s.widths.empty()) throw UsageError("widths: expected one number a scale, got none");
  const std::vector<int64_t>& w = s.widths;
  for (size_t i = 0; i < w.size(); ++i) {
    shrink_.push_back(
        i == 0 ? sequence({conv(3, s.in_channels, w[0], 7, {.stride = cube(3, 2)})})
               : sequence({std::make_shared<PlainInstanceNorm>(), conv(3, w[i - 1], w[i - 1], 3),
                           std::make_shared<PlainInstanceNorm>(),
                           conv(3, w[i - 1], w[i], 2, {.stride = cube(3, 2), .padding = cube(3, 0)})}));
    gates_.push_back(std::make_shared<HalvedMixer>(w[i], s));
    stages_.push_back(sequence({conv(3, w[i], w[i], 3)}));
    mlps_.push_back(std::make_shared<ChannelMlp>(w[i], 2 * w[i]));
  }
  for (size_t i = w.size() - 1; i > 0; --i) {
    narrow_.push_back(sequence({without_bias(w[i], w[i - 1], 1)}));
    up_.push_back(sequence({std::make_shared<PreNormBlock>(w[i - 1])}));
  }
  const auto vit = register_module("vit", std::make_shared<torch::nn::Module>());
  register_list(*vit, "downsample_layers", shrink_);
  register_list(*vit, "gscs", gates_);
  register_list(*vit, "stages", stages_);
  register_list(*vit, "mlps", mlps_);
  const auto segresnet = register_module("segresnet", std::make_shared<torch::nn::Module>());
  if (s.unused) register_unused(*segresnet, w);
  register_list(*segresnet, "up_samples", narrow_);
  register_list(*segresnet, "up_layers", up_);
  head_ = register_module("out", std::make_shared<TransposedConvolution>(w[0], s.classes, cube(3, 2)));
}

std::vector<torch::Tensor> SegResMamba::scores(const torch::Tensor& image) {
  std::vector<torch::Tensor> skips;
  torch::Tensor x = image;
  for (size_t i = 0; i < shrink_.size(); ++i) {
    x = stages_[i]->forward(gates_[i]->forward(shrink_[i]->forward(x)));
    skips.push_back(mlps_[i]->forward(norm_.forward(x)));
  }
  x = skips.back();
  for (size_t i = 0; i < up_.size(); ++i)
    x = up_[i]->forward(linear_upsampled(narrow_[i]->forward(x), 2) + skips[skips.size() - 2 - i]);
  return {head_->forward(x)};
}

Json official_settings(const Json& a) {
  SegResMambaSettings s;
  s.in_channels = argument<int64_t>(a, "in_chans", 1);
  s.classes = argument<int64_t>(a, "out_chans", 13);
  s.widths = argument(a, "feat_size", s.widths);
  s.mamba = false;
  return to_json(s);
}

/// Without the Mamba layer, which the official one does not call.
std::shared_ptr<torch::nn::Module> official_gate(const Json& a) {
  SegResMambaSettings s;
  s.mamba = false;
  return std::make_shared<HalvedMixer>(a.at("in_channels").get<int64_t>(), s);
}

constexpr const char* kRepository = "badhandas/SegResMamba";

}  // namespace

NetworkEntry segresmamba_entry() {
  return hybrid_entry<SegResMambaSettings>(
      {.name = "segresmamba",
       .dims = {3},
       .source = "Das et al.: SegResMamba: An Efficient Architecture for 3D Medical Image Segmentation, MIDL "
                 "2025; github.com/badhandas/SegResMamba",
       .summary = "encoder of convolutions around Mamba at half resolution, decoder of SegResNet",
       .parameters = 111'610'951,
       .small = R"({"in_channels": 1, "classes": 3, "widths": [8, 16], "states": 2, "unused": false})",
       .small_edge = 16,
       .official = {{kRepository, "SegResMamba", official_settings}},
       .blocks = {{kRepository, {"GSC"}, official_gate}}},
      [](const SegResMambaSettings& s) { return std::make_shared<SegResMamba>(s); });
}

}  // namespace mambaseg
