// SegMamba: Long-range Sequential Modeling Mamba For 3D Medical Image Segmentation (Xing et al. 2024), after
// its public code, whose module names it keeps: an encoder of gated convolutions and tri-orientated Mamba,
// and UNETR's convolutional decoder, whose skips are the encoder's scales through an MLP. The numbers of
// slices that the third orientation interleaves are those of a patch of 128^3 there, whatever the input; here
// they are a setting.

#include <utility>

#include "mambaseg/nets/blocks/tri_orientated_mamba.h"
#include "mambaseg/nets/blocks/unetr_blocks.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

struct SegMambaSettings {
  int64_t in_channels = 4;
  int64_t classes = 4;
  std::vector<int64_t> widths{48, 96, 192, 384};
  int64_t bottleneck_width = 768;
  std::vector<int64_t> depths{2, 2, 2, 2};
  std::vector<int64_t> slices{64, 32, 16, 8};
  int64_t states = 16;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("widths", widths, "channels of the encoder's scales, 1/2 of the resolution first", at_least(1));
    visit("bottleneck_width", bottleneck_width, "channels of the coarsest scale in the decoder", at_least(1));
    visit("depths", depths, "Mamba layers of each scale", at_least(0));
    visit(
        "slices", slices,
        "slices of the third orientation at each scale, which must divide its voxels; 0: as many as the grid "
        "has along its first axis. As published 128 / 2, 128 / 4, ... whatever the patch",
        at_least(0));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
  }
};

/// Gated spatial convolution (GSC): x + conv1(conv3(conv3(x)) + conv1(x)), a norm and a ReLU behind each
/// convolution. Prefixes "proj" to "proj4".
class GatedSpatialConvolution : public Layer {
 public:
  explicit GatedSpatialConvolution(int64_t width)
      : proj_(register_module("proj", conv(3, width, width, 3))),
        proj2_(register_module("proj2", conv(3, width, width, 3))),
        proj3_(register_module("proj3", conv(3, width, width, 1))),
        proj4_(register_module("proj4", conv(3, width, width, 1))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor local = step(*proj2_, step(*proj_, x));
    return x + step(*proj4_, local + step(*proj3_, x));
  }

 private:
  torch::Tensor step(Convolution& convolution, const torch::Tensor& x) {
    return norm_.run(convolution.forward(x), {Activation::relu, {}});
  }
  std::shared_ptr<Convolution> proj_, proj2_, proj3_, proj4_;
  PlainInstanceNorm norm_;
};

/// x + Mamba(norm(x)) on the voxels in raster order. Prefixes "norm", "mamba".
class TriOrientatedLayer : public Layer {
 public:
  explicit TriOrientatedLayer(const TriOrientatedMambaSettings& mamba)
      : norm_(register_module("norm", std::make_shared<LayerNorm>(mamba.width))),
        mamba_(register_module("mamba", std::make_shared<TriOrientatedMamba>(mamba))) {}
  /// x (B, C, Z, Y, X) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor tokens = x.permute({0, 2, 3, 4, 1}).contiguous();
    return (tokens + mamba_->forward(norm_->forward(tokens))).permute({0, 4, 1, 2, 3});
  }

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<TriOrientatedMamba> mamba_;
};

/// Pointwise convolution to `hidden` channels, GELU, and back. Prefixes "fc1", "fc2".
class ChannelMlp : public Layer {
 public:
  ChannelMlp(int64_t width, int64_t hidden)
      : fc1_(register_module("fc1", conv(3, width, hidden, 1))),
        fc2_(register_module("fc2", conv(3, hidden, width, 1))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return fc2_->forward(fc1_->run(x, {Activation::gelu, {}}));
  }

 private:
  std::shared_ptr<Convolution> fc1_, fc2_;
};

class SegMamba : public Network {
 public:
  explicit SegMamba(const SegMambaSettings& settings);
  Extent size_multiples() const override;

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCZYX) override;

 private:
  std::vector<torch::Tensor> skips(const torch::Tensor& image);

  SegMambaSettings settings_;
  std::vector<std::shared_ptr<Layer>> shrink_, gates_, mambas_, mlps_;  ///< one a scale, finest first
  std::vector<std::shared_ptr<UnetrBasicBlock>> encoders_;              ///< full resolution first
  std::vector<std::shared_ptr<UnetrUpBlock>> decoders_;                 ///< coarsest first
  std::shared_ptr<UnetrBasicBlock> last_;
  std::shared_ptr<Layer> head_;
  PlainInstanceNorm norm_;
};

SegMamba::SegMamba(const SegMambaSettings& s) : settings_(s) {
  const size_t scales = s.widths.size();
  if (scales == 0 || s.depths.size() != scales || s.slices.size() != scales)
    throw UsageError(concat("widths, depths and slices: expected one number a scale each, got ", scales, ", ",
                            s.depths.size(), " and ", s.slices.size()));
  std::vector<int64_t> widths = s.widths;
  widths.push_back(s.bottleneck_width);
  encoders_.push_back(std::make_shared<UnetrBasicBlock>(3, s.in_channels, widths[0]));
  for (size_t i = 0; i < scales; ++i) {
    const int64_t width = widths[i];
    if (i == 0)
      shrink_.push_back(sequence({conv(3, s.in_channels, width, 7, {.stride = cube(3, 2)})}));
    else
      shrink_.push_back(
          sequence({std::make_shared<PlainInstanceNorm>(),
                    conv(3, widths[i - 1], width, 2, {.stride = cube(3, 2), .padding = cube(3, 0)})}));
    gates_.push_back(std::make_shared<GatedSpatialConvolution>(width));
    const auto layers = std::make_shared<Sequence>();
    for (int64_t k = 0; k < s.depths[i]; ++k)
      layers->push_back(std::make_shared<TriOrientatedLayer>(
          TriOrientatedMambaSettings{.width = width, .states = s.states, .slices = s.slices[i]}));
    mambas_.push_back(layers);
    mlps_.push_back(std::make_shared<ChannelMlp>(width, 2 * width));
    encoders_.push_back(std::make_shared<UnetrBasicBlock>(3, width, widths[i + 1]));
    decoders_.insert(decoders_.begin(), std::make_shared<UnetrUpBlock>(3, widths[i + 1], width));
  }
  const auto vit = register_module("vit", std::make_shared<torch::nn::Module>());
  register_list(*vit, "downsample_layers", shrink_);
  register_list(*vit, "gscs", gates_);
  register_list(*vit, "stages", mambas_);
  register_list(*vit, "mlps", mlps_);
  for (size_t i = 0; i < encoders_.size(); ++i)
    register_module("encoder" + std::to_string(i + 1), encoders_[i]);
  for (size_t i = 0; i < scales; ++i)
    register_module("decoder" + std::to_string(scales + 1 - i), decoders_[i]);
  last_ = register_module("decoder1", std::make_shared<UnetrBasicBlock>(3, widths[0], widths[0]));
  head_ = register_module("out", unetr_head(3, widths[0], s.classes));
}

Extent SegMamba::size_multiples() const {
  const auto divides = [&](int64_t edge) {
    for (const int64_t slices : settings_.slices) {
      edge /= 2;
      if (slices > 0 && edge * edge * edge % slices != 0) return false;
    }
    return true;
  };
  int64_t multiple = int64_t{1} << settings_.widths.size();
  const int64_t step = multiple;
  while (!divides(multiple)) multiple += step;
  return cube(3, multiple);
}

std::vector<torch::Tensor> SegMamba::skips(const torch::Tensor& image) {
  std::vector<torch::Tensor> out{encoders_[0]->forward(image)};
  torch::Tensor x = image;
  for (size_t i = 0; i < shrink_.size(); ++i) {
    x = mambas_[i]->forward(gates_[i]->forward(shrink_[i]->forward(x)));
    const torch::Tensor y = mlps_[i]->forward(norm_.forward(x));
    seen(("vit" + std::to_string(i)).c_str(), y);
    out.push_back(encoders_[i + 1]->forward(y));
  }
  return out;
}

std::vector<torch::Tensor> SegMamba::scores(const torch::Tensor& image) {
  std::vector<torch::Tensor> kept = skips(image);
  torch::Tensor x = std::exchange(kept.back(), {});
  for (size_t i = 0; i < decoders_.size(); ++i)
    x = decoders_[i]->forward(x, std::exchange(kept[decoders_.size() - 1 - i], {}));
  return {head_->forward(last_->forward(x))};
}

Json official_settings(const Json& a) {
  SegMambaSettings s;
  s.in_channels = argument<int64_t>(a, "in_chans", 1);
  s.classes = argument<int64_t>(a, "out_chans", 13);
  s.widths = argument(a, "feat_size", s.widths);
  s.bottleneck_width = argument<int64_t>(a, "hidden_size", 768);
  s.depths = argument(a, "depths", s.depths);
  return to_json(s);
}

using Block = std::shared_ptr<torch::nn::Module>;

Block official_gate(const Json& a) {
  return std::make_shared<GatedSpatialConvolution>(a.at("in_channles").get<int64_t>());  // spelt so there
}

Block official_layer(const Json& a) {
  return std::make_shared<TriOrientatedLayer>(TriOrientatedMambaSettings{
      .width = a.at("dim"), .states = argument<int64_t>(a, "d_state", 16), .slices = a.at("num_slices")});
}

Block official_mlp(const Json& a) {
  return std::make_shared<ChannelMlp>(a.at("hidden_size").get<int64_t>(), a.at("mlp_dim").get<int64_t>());
}

constexpr const char* kRepository = "ge-xing/SegMamba";

}  // namespace

NetworkEntry segmamba_entry() {
  return hybrid_entry<SegMambaSettings>(
      {.name = "segmamba",
       .dims = {3},
       .source = "Xing et al.: SegMamba: Long-range Sequential Modeling Mamba For 3D Medical Image "
                 "Segmentation, 2024; github.com/ge-xing/SegMamba",
       .summary =
           "encoder of gated convolutions and Mamba in three orientations, convolutional decoder of UNETR",
       .parameters = 67'416'196,
       .small =
           R"({"classes": 3, "in_channels": 1, "widths": [4, 6, 8, 8], "bottleneck_width": 10, "depths": [1, 1, 1, 1],
               "slices": [8, 0, 2, 1], "states": 4})",
       .small_edge = 16,
       .official = {{kRepository, "SegMamba", official_settings}},
       .blocks = {{kRepository, {"GSC"}, official_gate},
                  {kRepository, {"MambaLayer (ToM)"}, official_layer},
                  {kRepository, {"MlpChannel"}, official_mlp}}},
      [](const SegMambaSettings& s) { return std::make_shared<SegMamba>(s); });
}

}  // namespace mambaseg
