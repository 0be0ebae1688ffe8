// FreqConvMamba (2026), after its public code, whose module names it keeps: VM-UNet's frame with blocks that
// see frequencies. The two finest scales convolve and add Haar's bands; the two coarsest split the channels
// between a block on the spectrum and SS2D. A skip is the last block of a scale, merged to the next one by a
// merging of its own. Most blocks of the official class carry layers that nothing passes, 29 of 59 million
// numbers; `unused` says whether they are kept.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/layers/transforms.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr size_t kConvScales = 2;       // the finest ones, on both sides
constexpr double kBandScale = M_SQRT2;  // the original's bands are larger than orthonormal ones

/// The defaults are those of the repository's configurations.
struct FreqConvMambaSettings : VssEncoderSettings {
  int64_t classes = 1;
  std::vector<int64_t> decoder_depths{2, 2, 2, 1};
  bool unused = true;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels; one (grey) is repeated to three", at_least(1));
    visit("classes", classes, "classes, background included; 1 is foreground against background",
          at_least(1));
    VssEncoderSettings::describe(visit);
    visit("decoder_depths", decoder_depths, "blocks in the decoder's stages, coarsest first", at_least(1));
    visit("unused", unused, "keep the layers of the official class that nothing passes");
  }
};

/// relu(norm(conv(relu(norm(conv(x))))) + pointwise(x)). Prefixes "conv1", "bn1", "conv2", "bn2", "conv3".
class ResidualConvs : public Layer {
 public:
  explicit ResidualConvs(int64_t width)
      : conv1_(register_module("conv1", conv(2, width, width, 3))),
        conv2_(register_module("conv2", conv(2, width, width, 3))),
        conv3_(register_module("conv3", conv(2, width, width, 1))),
        bn1_(register_module("bn1", std::make_shared<BatchNorm>(width))),
        bn2_(register_module("bn2", std::make_shared<BatchNorm>(width))) {}
  Tensor forward(const Tensor& x) override {
    const Tensor hidden = normed(*conv1_, *bn1_, x, {Activation::relu, {}});
    return torch::relu(normed(*conv2_, *bn2_, hidden, {Activation::none, conv3_->forward(x)}));
  }

 private:
  std::shared_ptr<Convolution> conv1_, conv2_, conv3_;
  std::shared_ptr<BatchNorm> bn1_, bn2_;
};

/// The Fourier transform of the plane, batch norm over real and imaginary parts as channels, a depthwise
/// convolution added (it tells places in the spectrum apart), a pointwise one, GELU, and back. What leaves is
/// no spectrum of real numbers any more: the imaginary parts of the first (and last) column are dropped
/// behind the transform of the columns. In fp32. Prefixes "bn", "fpe", "fdc", and "weight.0" (a softmax over
/// one number, unused).
class FrequencyBlock : public Layer {
 public:
  FrequencyBlock(int64_t width, bool unused) {
    bn_ = register_module("bn", std::make_shared<BatchNorm>(2 * width));
    fdc_ = register_module("fdc", conv(2, 2 * width, 2 * width, 1));
    if (unused) register_module("weight", sequence({conv(2, 2 * width, 1, 1)}));
    fpe_ = register_module("fpe", depthwise(2, 2 * width, 3));
  }
  Tensor forward(const Tensor& input_BCYX) override {
    const Tensor x = input_BCYX.scalar_type() == torch::kDouble ? input_BCYX : input_BCYX.to(torch::kFloat);
    const Tensor spectrum = torch::view_as_real(torch::fft_rfft2(x, torch::nullopt, {-2, -1}, "ortho"));
    Tensor parts = bn_->forward(spectrum.permute({0, 1, 4, 2, 3}).flatten(1, 2));
    parts = fdc_->run(fpe_->run(parts, {Activation::none, parts}), {Activation::gelu, {}});
    const Tensor changed = torch::view_as_complex(
        parts.unflatten(1, std::vector<int64_t>{-1, 2}).permute({0, 1, 3, 4, 2}).contiguous());
    return torch::fft_irfft(torch::fft_ifft(changed, torch::nullopt, -2, "ortho"), x.size(3), -1, "ortho")
        .to(input_BCYX.scalar_type());
  }

 private:
  std::shared_ptr<BatchNorm> bn_;
  std::shared_ptr<Convolution> fdc_, fpe_;
};

/// How a block of the network is built.
struct BlockSettings {
  int64_t width = 96;
  int64_t states = 16;
  double drop_path = 0;
  bool convolves = true;    ///< FGCM, else FGMM
  bool gated = true;        ///< FGCM: by its channels' means
  bool gives_skip = false;  ///< the second variants
  bool unused = true;
};

/// FGCM: y = convs(x) + pointwise(double(bands of x)) + x, times a gate a channel. FGMM: the block on the
/// spectrum of the first half of the channels beside SS2D of the normed second half, plus x.
class FrequencyGuidedBlock : public Layer {
 public:
  explicit FrequencyGuidedBlock(const BlockSettings& s) : gated_(s.gated && s.convolves) {
    const int64_t half = s.width / 2;
    if (!s.convolves || s.unused) {
      ln_1_ = register_module("ln_1", std::make_shared<LayerNorm>(half));
      mixer_ = register_module("self_attention",
                               std::make_shared<SS2D>(Ss2dSettings{.width = half, .states = s.states}));
    }
    path_ = register_module("drop_path", std::make_shared<DropPath>(s.drop_path));
    if (s.gives_skip || s.unused)
      expand_ = register_module("expand", std::make_shared<PatchMerging2d>(s.width));
    if (gated_ || s.unused) {
      squeeze_ = conv(2, s.width, half, 1);
      excite_ = conv(2, half, s.width, 1);
      const auto ca = register_module("ca", std::make_shared<torch::nn::Module>());
      ca->register_module("1", squeeze_);
      ca->register_module("3", excite_);
    }
    if (s.convolves) reduce_ = register_module("conv_reduce", conv(2, 4 * s.width, s.width, 1));
    if (!s.convolves) spectrum_ = register_module("lin", std::make_shared<FrequencyBlock>(half, s.unused));
    if (s.convolves || s.unused)
      convs_ = register_module("conv", std::make_shared<ResidualConvs>(s.convolves ? s.width : half));
  }
  /// x (B, Y, X, width) -> the same sizes
  Tensor forward(const Tensor& x) override { return reduce_ ? convolved(x) : mixed(x); }
  /// What was given by forward, for the decoder: (B, Y / 2, X / 2, 2 * width)
  Tensor skip(const Tensor& y) { return expand_->forward(y); }

 private:
  Tensor convolved(const Tensor& x_BYXC) const {
    const Tensor x = x_BYXC.permute({0, 3, 1, 2});
    const Tensor bands = haar(x) * kBandScale;
    const Tensor y = convs_->forward(x) + reduce_->run(linear_upsampled(bands, 2), {Activation::none, x});
    if (!gated_) return y.permute({0, 2, 3, 1});
    const Tensor squeezed = squeeze_->run(y.mean({2, 3}, /*keepdim=*/true), {Activation::relu, {}});
    return (y * excite_->forward(squeezed).sigmoid()).permute({0, 2, 3, 1});
  }
  Tensor mixed(const Tensor& x) const {
    const std::vector<Tensor> halves = x.chunk(2, -1);
    const Tensor right = path_->forward(mixer_->forward(ln_1_->forward(halves[1])));
    const Tensor left = spectrum_->forward(halves[0].permute({0, 3, 1, 2})).permute({0, 2, 3, 1});
    return torch::cat({left, right}, -1) + x;
  }

  bool gated_;
  std::shared_ptr<LayerNorm> ln_1_;
  std::shared_ptr<SS2D> mixer_;
  std::shared_ptr<DropPath> path_;
  std::shared_ptr<PatchMerging2d> expand_;
  std::shared_ptr<Convolution> squeeze_, excite_, reduce_;
  std::shared_ptr<FrequencyBlock> spectrum_;
  std::shared_ptr<ResidualConvs> convs_;
};

/// Prefix "blocks", and "upsample" before or "downsample" behind them.
class Stage : public Layer {
 public:
  Stage(BlockSettings s, const std::vector<double>& drop_path, bool gives_skip) : width_(s.width) {
    for (size_t i = 0; i < drop_path.size(); ++i) {
      s.drop_path = drop_path[i];
      s.gives_skip = gives_skip && i + 1 == drop_path.size();
      blocks_.push_back(std::make_shared<FrequencyGuidedBlock>(s));
    }
    register_list(*this, "blocks", blocks_);
    if (gives_skip) down_ = register_module("downsample", std::make_shared<PatchMerging2d>(width_));
  }
  void double_before() { up_ = register_module("upsample", std::make_shared<PatchExpand2d>(2 * width_, 2)); }
  /// What leaves the blocks.
  Tensor forward(const Tensor& x_BYXC) override {
    Tensor y = up_ ? up_->forward(x_BYXC) : x_BYXC;
    for (const auto& block : blocks_) y = block->forward(y);
    return y;
  }
  /// Of what leaves the blocks: to the next scale, and for the decoder.
  Tensor halved(const Tensor& y) { return down_->forward(y); }
  Tensor skip(const Tensor& y) { return blocks_.back()->skip(y); }

 private:
  int64_t width_;
  std::vector<std::shared_ptr<FrequencyGuidedBlock>> blocks_;
  std::shared_ptr<Layer> up_, down_;
};

class FreqConvMamba : public Network {
 public:
  explicit FreqConvMamba(const FreqConvMambaSettings& s);
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<Tensor> scores(const Tensor& x_BCYX) override;

 private:
  FreqConvMambaSettings settings_;
  std::shared_ptr<PatchEmbed2d> embed_;
  std::vector<std::shared_ptr<Stage>> down_, up_;  ///< finest first; coarsest first
  std::shared_ptr<PatchExpand2d> final_up_;
  std::shared_ptr<Convolution> final_conv_;
};

FreqConvMamba::FreqConvMamba(const FreqConvMambaSettings& s) : settings_(s) {
  s.check();
  const auto& w = s.widths;
  if (s.decoder_depths.size() != w.size() || *std::min_element(s.depths.begin(), s.depths.end()) < 1)
    throw UsageError(concat("depths and decoder_depths: expected one number from 1 a scale each, got ",
                            Json(s.depths).dump(), " and ", Json(s.decoder_depths).dump()));
  const auto sum = [](const std::vector<int64_t>& depths) {
    return std::accumulate(depths.begin(), depths.end(), int64_t{0});
  };
  const auto chances = by_scale(rising_drop_path(sum(s.depths), s.drop_path), s.depths);
  std::vector<double> falling = rising_drop_path(sum(s.decoder_depths), s.drop_path);
  std::reverse(falling.begin(), falling.end());
  const auto decoder_chances = by_scale(falling, s.decoder_depths);
  embed_ = register_module(
      "patch_embed", std::make_shared<PatchEmbed2d>(s.in_channels == 1 ? 3 : s.in_channels, w[0], s.patch));
  for (size_t scale = 0; scale < w.size(); ++scale)
    down_.push_back(std::make_shared<Stage>(
        BlockSettings{
            .width = w[scale], .states = s.states, .convolves = scale < kConvScales, .unused = s.unused},
        chances[scale], scale + 1 < w.size()));
  for (size_t i = 0; i < w.size(); ++i) {
    const size_t scale = w.size() - 1 - i;
    up_.push_back(std::make_shared<Stage>(BlockSettings{.width = w[scale],
                                                        .states = s.states,
                                                        .convolves = scale < kConvScales,
                                                        .gated = false,
                                                        .unused = s.unused},
                                          decoder_chances[i], false));
    if (i > 0) up_.back()->double_before();
  }
  register_list(*this, "layers", down_);
  register_list(*this, "layers_up", up_);
  final_up_ = register_module("final_up", std::make_shared<PatchExpand2d>(w[0], s.patch));
  final_conv_ = register_module("final_conv", conv(2, w[0] / s.patch, s.classes, 1));
  start_as_vmamba(*this);
}

std::vector<Tensor> FreqConvMamba::scores(const Tensor& input) {
  Tensor x = embed_->forward(input.size(1) == 1 ? input.repeat({1, 3, 1, 1}) : input);
  std::vector<Tensor> skips;
  for (const auto& stage : down_) {
    x = stage->forward(x);
    if (stage == down_.back()) break;
    skips.push_back(stage->skip(x));
    x = stage->halved(x);
  }
  for (size_t i = 0; i < up_.size(); ++i) x = up_[i]->forward(i == 0 ? x : x + skips[skips.size() - i]);
  return {final_conv_->forward(final_up_->forward(x).permute({0, 3, 1, 2}))};
}

Json official_settings(const Json& a) {
  FreqConvMambaSettings s;
  s.in_channels = argument<int64_t>(a, "input_channels", 3);
  s.classes = argument<int64_t>(a, "num_classes", 1);
  s.depths = argument<std::vector<int64_t>>(a, "depths", {2, 2, 9, 2});
  s.decoder_depths = argument<std::vector<int64_t>>(a, "depths_decoder", {2, 9, 2, 2});
  s.drop_path = argument(a, "drop_path_rate", 0.2);
  return to_json(s);
}

/// The official class keeps the network in a member.
std::string our_name(const std::string& official) {
  const std::string member = "FreqConvMamba.";
  return official.starts_with(member) ? official.substr(member.size()) : official;
}

/// The official class does so where there is one class.
Tensor sigmoid_of_one(const Tensor& scores) { return scores.size(1) == 1 ? scores.sigmoid() : scores; }

/// The official second variants give the block's output and the skip.
class WithSkip : public FrequencyGuidedBlock, public GivesSeveral {
 public:
  using FrequencyGuidedBlock::FrequencyGuidedBlock;
  std::vector<Tensor> outputs(const std::map<std::string, Tensor>& inputs) override {
    const Tensor& x = inputs.at("x");
    const Tensor y = forward(x);
    return {y, skip(y)};
  }
};

std::shared_ptr<torch::nn::Module> official_block(const Json& a, bool convolves, bool gated,
                                                  bool gives_skip) {
  const BlockSettings s{.width = a.at("hidden_dim"),
                        .states = argument<int64_t>(a, "d_state", 16),
                        .convolves = convolves,
                        .gated = gated,
                        .gives_skip = gives_skip};
  if (gives_skip) return std::make_shared<WithSkip>(s);
  return std::make_shared<FrequencyGuidedBlock>(s);
}

/// The bands alone (WFE).
class Bands : public Layer {
 public:
  Tensor forward(const Tensor& x) override { return haar(x) * kBandScale; }
};

constexpr const char* kRepository = "ccode-Rookie/FreqConvMamba";

}  // namespace

NetworkEntry freqconvmamba_entry() {
  using Part = std::shared_ptr<torch::nn::Module>;
  return hybrid_entry<FreqConvMambaSettings>(
      {.name = "freqconvmamba",
       .dims = {2},
       .source =
           "FreqConvMamba: Frequency-guided Hierarchical Hybrid SSM-CNN for Medical Image Segmentation, "
           "2026; github.com/ccode-Rookie/FreqConvMamba",
       .summary = "VM-UNet's frame, convolutions beside Haar's bands and selective scans beside the spectrum",
       .parameters = 59'064'705,
       .small =
           R"({"classes": 3, "widths": [8, 16, 32], "depths": [1, 1, 1], "decoder_depths": [1, 1, 1], "states": 2,
               "drop_path": 0.0, "unused": false})",
       .small_edge = 32,
       .official = {{kRepository, "FreqConvMamba", official_settings, sigmoid_of_one, our_name}},
       .blocks = {{kRepository,
                   {"FGCM1"},
                   [](const Json& a) -> Part { return official_block(a, true, true, false); }},
                  {kRepository,
                   {"FGCM2"},
                   [](const Json& a) -> Part { return official_block(a, true, true, true); }},
                  {kRepository,
                   {"FGCM3"},
                   [](const Json& a) -> Part { return official_block(a, true, false, false); }},
                  {kRepository,
                   {"FGMM2"},
                   [](const Json& a) -> Part { return official_block(a, false, false, true); }},
                  {kRepository,
                   {"FrequencyBlock"},
                   [](const Json& a) -> Part {
                     return std::make_shared<FrequencyBlock>(a.at("in_channels").get<int64_t>(), true);
                   }},
                  {kRepository, {"WFE"}, [](const Json&) -> Part { return std::make_shared<Bands>(); }}}},
      [](const FreqConvMambaSettings& s) { return std::make_shared<FreqConvMamba>(s); });
}

}  // namespace mambaseg
