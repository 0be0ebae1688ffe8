// SegMamba: Long-range Sequential Modeling Mamba For 3D Medical Image Segmentation (Xing et al. 2024), after
// its public code, whose module names it keeps: an encoder of gated convolutions and tri-orientated Mamba,
// and UNETR's convolutional decoder, whose skips are the encoder's scales through an MLP. The numbers of
// slices that the third orientation interleaves are those of a patch of 128^3 there, whatever the input; here
// they are a setting.

#include "mambaseg/nets/blocks/segmamba_blocks.h"
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

class SegMamba : public Network {
 public:
  explicit SegMamba(const SegMambaSettings& settings);
  Extent size_multiples() const override { return sliced_size_multiples(settings_.slices); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCZYX) override;

 private:
  SegMambaSettings settings_;
  std::vector<std::shared_ptr<Layer>> shrink_, gates_, mambas_, mlps_;  ///< one a scale, finest first
  std::unique_ptr<UnetrScales> unetr_;
  std::shared_ptr<Layer> head_;
  PlainInstanceNorm norm_;
};

SegMamba::SegMamba(const SegMambaSettings& s) : settings_(s) {
  const size_t scales = s.widths.size();
  if (scales == 0 || s.depths.size() != scales || s.slices.size() != scales)
    throw UsageError(concat("widths, depths and slices: expected one number a scale each, got ", scales, ", ",
                            s.depths.size(), " and ", s.slices.size()));
  shrink_ = halving_layers(s.in_channels, s.widths);
  for (size_t i = 0; i < scales; ++i) {
    const int64_t width = s.widths[i];
    gates_.push_back(std::make_shared<GatedSpatialConvolution>(width));
    const auto layers = std::make_shared<Sequence>();
    for (int64_t k = 0; k < s.depths[i]; ++k)
      layers->push_back(std::make_shared<TriOrientatedLayer>(
          TriOrientatedMambaSettings{.width = width, .states = s.states, .slices = s.slices[i]}));
    mambas_.push_back(layers);
    mlps_.push_back(std::make_shared<ChannelMlp>(width, 2 * width));
  }
  const auto vit = register_module("vit", std::make_shared<torch::nn::Module>());
  register_list(*vit, "downsample_layers", shrink_);
  register_list(*vit, "gscs", gates_);
  register_list(*vit, "stages", mambas_);
  register_list(*vit, "mlps", mlps_);
  std::vector<int64_t> widths = s.widths;
  widths.push_back(s.bottleneck_width);
  unetr_ = std::make_unique<UnetrScales>(*this, s.in_channels, widths);
  head_ = register_module("out", unetr_head(3, widths[0], s.classes));
}

std::vector<torch::Tensor> SegMamba::scores(const torch::Tensor& image) {
  std::vector<torch::Tensor> skips{unetr_->skip(0, image)};
  torch::Tensor x = image;
  for (size_t i = 0; i < shrink_.size(); ++i) {
    x = mambas_[i]->forward(gates_[i]->forward(shrink_[i]->forward(x)));
    const torch::Tensor y = mlps_[i]->forward(norm_.forward(x));
    seen(("vit" + std::to_string(i)).c_str(), y);
    skips.push_back(unetr_->skip(i + 1, y));
  }
  x.reset();
  return {head_->forward(unetr_->decoded(std::move(skips)))};
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
       .official = {{"ge-xing/SegMamba", "SegMamba", official_settings}}},
      [](const SegMambaSettings& s) { return std::make_shared<SegMamba>(s); });
}

}  // namespace mambaseg
