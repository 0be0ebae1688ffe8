// HMT-UNet (Zhang et al. 2024), after its public code, whose module names it keeps: NVIDIA's MambaVision as
// the encoder (two scales of convolutions, then blocks in windows, Mamba in the first half of a scale and
// attention in the second), and blocks in windows alone in the decoder. As there, windows that reach over the
// edge see zeros behind it, which no mask hides; skips are what enters the encoder's scales, the finest of
// which is not used. The official class takes three channels and gives one map, whatever it is told.

#include "mambaseg/nets/blocks/attention.h"
#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/scan_projection.h"
#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/blocks/window_attention.h"
#include "mambaseg/nets/layers/undecayed.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/ops/depthwise_conv.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr size_t kConvScales = 2;  // of the encoder

struct HmtUnetSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  int64_t stem_width = 32;
  int64_t width = 80;
  std::vector<int64_t> depths{1, 3, 8, 4};
  std::vector<int64_t> heads{2, 4, 8, 16};
  std::vector<int64_t> windows{8, 8, 14, 7};
  double mlp_ratio = 4;
  double drop_path = 0.2;
  bool bias_twice = false;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("stem_width", stem_width, "channels at half resolution", at_least(1));
    visit("width", width, "channels of the finest tokens, a multiple of 4; doubled at each scale",
          at_least(4));
    visit("depths", depths, "blocks of the scales, finest first, on both sides", at_least(1));
    visit("heads", heads, "attention heads of the scales, finest first", at_least(1));
    visit("windows", windows, "edge of the windows of the scales, finest first", at_least(1));
    visit("mlp_ratio", mlp_ratio, "hidden channels of the MLP / width", at_least(0.1));
    visit(
        "drop_path", drop_path,
        "training: chance that the last block's branches are left out for a sample, in encoder and decoder; "
        "falls to 0 towards the first",
        between(0, 1));
    visit("bias_twice", bias_twice,
          "the bias of the time steps counts twice, a mistake with which MambaVision's weights were trained");
  }
};

/// MambaVision's mixer: half of the projected channels pass a convolution and the scan, the other half a
/// convolution, and both lie side by side instead of one gating the other. Convolutions see both sides.
/// Prefixes as there.
class MambaVisionMixer : public Layer {
 public:
  struct Settings {
    int64_t width = 80, states = 8, conv_kernel = 3, expand = 1;
    bool bias_twice = false;
  };
  explicit MambaVisionMixer(const Settings& s)
      : half_(s.expand * s.width / 2), states_(s.states), bias_share_(s.bias_twice ? 2 : 1) {
    const int64_t rank = (s.width + 15) / 16;
    in_ = register_module("in_proj", std::make_shared<Linear>(s.width, 2 * half_, false));
    const ConvolutionSettings same{.padding = {s.conv_kernel / 2}, .bias = false};
    conv_x_ = register_module("conv1d_x", depthwise(1, half_, s.conv_kernel, same));
    conv_z_ = register_module("conv1d_z", depthwise(1, half_, s.conv_kernel, same));
    out_ = register_module("out_proj", std::make_shared<Linear>(2 * half_, s.width, false));
    twin_ = scan_twin(*this, "twin", {2, half_, rank, states_});
    if (twin_) return;
    x_proj_ = register_module("x_proj", std::make_shared<Linear>(half_, rank + 2 * states_, false));
    dt_proj_ = register_module("dt_proj", std::make_shared<Linear>(rank, half_));
    A_log_ = without_decay(register_parameter("A_log", ssm_init::A_log(half_, states_)));
    D_ = without_decay(register_parameter("D", torch::ones({half_})));
  }
  /// x (B, Y, X, width) -> the same sizes
  Tensor forward(const Tensor& input) override {
    const std::vector<Tensor> halves = in_->forward(input.flatten(1, -2)).chunk(2, -1);
    const auto convolved = [](const Tensor& x, const Convolution& conv) {
      const int64_t taps = conv.weight.size(2);
      const Tensor y = depthwise_conv(x, conv.weight, {}, {{taps / 2}, false, true, {}});
      return torch::silu(y.slice(1, 1 - taps % 2));  // an even kernel reaches one less to the left
    };
    const Tensor x = convolved(halves[0], *conv_x_), z = convolved(halves[1], *conv_z_);
    std::vector<int64_t> grid = input.sizes().vec();
    grid.back() = half_;
    const Tensor y = twin_ ? twin_->forward(x.view(grid)).view_as(x) : scanned(x, walk_.over(input).get());
    return out_->forward(torch::cat({y.to(x.scalar_type()), z}, -1)).view_as(input);
  }

 private:
  Tensor scanned(const Tensor& x, const ScanTables* walk) const {
    const ScanWeights weights{x_proj_->weight.unsqueeze(0),
                              dt_proj_->weight.unsqueeze(0),
                              bias_share_ * dt_proj_->bias.unsqueeze(0),
                              A_log_.unsqueeze(0),
                              D_.unsqueeze(0),
                              packed_};
    return selective_scan(project_scan_inputs(x, weights), walk);
  }

  int64_t half_, states_;
  double bias_share_;
  std::shared_ptr<Linear> in_, out_, x_proj_, dt_proj_;
  std::shared_ptr<Convolution> conv_x_, conv_z_;
  Tensor A_log_, D_;
  PackedWeights packed_;
  RowWalk walk_{2};
  std::shared_ptr<ScanTwin> twin_;
};

/// x + two convolutions with batch norm, GELU (in its approximation by tanh) between them. Prefixes "conv1",
/// "norm1", "conv2", "norm2".
class ConvBlock : public Layer {
 public:
  ConvBlock(int64_t width, double drop_path)
      : conv1_(register_module("conv1", conv(2, width, width, 3))),
        norm1_(register_module("norm1", std::make_shared<BatchNorm>(width))),
        conv2_(register_module("conv2", conv(2, width, width, 3))),
        norm2_(register_module("norm2", std::make_shared<BatchNorm>(width))),
        path_(register_module("drop_path", std::make_shared<DropPath>(drop_path))) {}
  Tensor forward(const Tensor& x) override {
    const Tensor hidden = torch::gelu(normed(*conv1_, *norm1_, x), "tanh");
    return x + path_->forward(normed(*conv2_, *norm2_, hidden));
  }

 private:
  std::shared_ptr<Convolution> conv1_;
  std::shared_ptr<BatchNorm> norm1_;
  std::shared_ptr<Convolution> conv2_;
  std::shared_ptr<BatchNorm> norm2_;
  std::shared_ptr<DropPath> path_;
};

/// A quarter of the plane's edges. Prefix "conv_down".
class Stem : public Layer {
 public:
  Stem(int64_t in, int64_t between, int64_t out) {
    const auto halving = [](int64_t from, int64_t to) {
      return conv(2, from, to, 3, {.stride = {2, 2}, .bias = false});
    };
    const auto norm = [](int64_t width) { return std::make_shared<BatchNorm>(width, 1e-4); };
    down_ = register_module("conv_down", sequence({halving(in, between), norm(between), relu(),
                                                   halving(between, out), norm(out), relu()}));
  }
  Tensor forward(const Tensor& x) override { return down_->forward(x); }

 private:
  std::shared_ptr<Sequence> down_;
};

/// Halves the grid, doubles the channels. Prefix "reduction.0".
class Downsample : public Layer {
 public:
  explicit Downsample(int64_t width)
      : reduction_(register_module(
            "reduction", sequence({conv(2, width, 2 * width, 3, {.stride = {2, 2}, .bias = false})}))) {}
  Tensor forward(const Tensor& x) override { return reduction_->forward(x); }

 private:
  std::shared_ptr<Sequence> reduction_;
};

/// The blocks of a scale: convolutions, or Mamba and attention in windows. Prefixes "upsample" (before them),
/// "blocks", "downsample" (behind them).
class Stage : public Layer {
 public:
  struct Settings {
    int64_t width, heads, window;
    double mlp_ratio = 4;
    bool bias_twice = false;
    bool convolutions = false;
  };
  Stage(const Settings& s, const std::vector<double>& drop_path)
      : width_(s.width), window_(s.convolutions ? 0 : s.window) {
    for (size_t i = 0; i < drop_path.size(); ++i) blocks_.push_back(block(s, i, drop_path));
    register_list(*this, "blocks", blocks_);
  }
  void halve_behind() { down_ = register_module("downsample", std::make_shared<Downsample>(width_)); }
  void double_before() { up_ = register_module("upsample", std::make_shared<PatchExpand2d>(2 * width_, 2)); }
  /// (B, C, Y, X) -> the same, doubled or halved
  Tensor forward(const Tensor& input) override {
    Tensor x = input;
    if (up_) x = up_->forward(x.permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
    x = window_ > 0 ? windowed(x) : through(x);
    return down_ ? down_->forward(x) : x;
  }

 private:
  static std::shared_ptr<Layer> block(const Settings& s, size_t i, const std::vector<double>& drop_path) {
    if (s.convolutions) return std::make_shared<ConvBlock>(s.width, drop_path[i]);
    std::shared_ptr<Layer> mixer;
    if (i < (drop_path.size() + 1) / 2)
      mixer = std::make_shared<MambaVisionMixer>(
          MambaVisionMixer::Settings{.width = s.width, .bias_twice = s.bias_twice});
    else
      mixer = std::make_shared<SelfAttention>(
          AttentionSettings{.width = s.width, .heads = s.heads, .bias = true});
    const auto hidden = static_cast<int64_t>(s.mlp_ratio * static_cast<double>(s.width));
    return std::make_shared<MixerBlock>(
        MixerBlockSettings{.width = s.width,
                           .mlp_hidden = hidden,
                           .drop_path = drop_path[i],
                           .names = {"norm1", "mixer", "norm2", "mlp", "fc1", "fc2"}},
        mixer);
  }
  Tensor through(Tensor x) const {
    for (const auto& block : blocks_) x = block->forward(x);
    return x;
  }
  Tensor windowed(const Tensor& x) const {
    const int64_t Y = x.size(2), X = x.size(3), w = window_;
    const Extent window = cube(2, w), padded{(Y + w - 1) / w * w, (X + w - 1) / w * w};
    const Tensor whole =
        torch::constant_pad_nd(x.permute({0, 2, 3, 1}), {0, 0, 0, padded[1] - X, 0, padded[0] - Y});
    const Tensor y = through(windows_of(whole, window).unflatten(1, window)).flatten(1, 2);
    return grid_of(y, padded, window).narrow(1, 0, Y).narrow(2, 0, X).permute({0, 3, 1, 2});
  }

  int64_t width_, window_;
  std::vector<std::shared_ptr<Layer>> blocks_;
  std::shared_ptr<Layer> up_, down_;
};

class HmtUnet : public Network {
 public:
  explicit HmtUnet(const HmtUnetSettings& s);
  Extent size_multiples() const override { return cube(2, 4 << (down_.size() - 1)); }

 protected:
  std::vector<Tensor> scores(const Tensor& x_BCYX) override;

 private:
  std::shared_ptr<Stem> stem_;
  std::vector<std::shared_ptr<Stage>> down_, up_;  ///< finest first; coarsest first
  std::shared_ptr<PatchExpand2d> last_up_;
  std::shared_ptr<Convolution> output_;
};

HmtUnet::HmtUnet(const HmtUnetSettings& s) {
  const size_t scales = s.depths.size();
  if (scales < 2 || s.heads.size() != scales || s.windows.size() != scales)
    throw UsageError(
        concat("depths, heads and windows: expected one number a scale each, of two scales at "
               "least, got ",
               scales, ", ", s.heads.size(), " and ", s.windows.size()));
  const auto settings = [&](size_t scale) {
    return Stage::Settings{s.width << scale, s.heads[scale], s.windows[scale], s.mlp_ratio, s.bias_twice};
  };
  int64_t blocks = 0;
  for (const int64_t depth : s.depths) blocks += depth;
  const std::vector<int64_t> decoder_depths(s.depths.rbegin(), s.depths.rend());
  const std::vector<double> rising = rising_drop_path(blocks, s.drop_path);
  const auto chances = by_scale(rising, s.depths), decoder_chances = by_scale(rising, decoder_depths);
  stem_ = register_module("patch_embed", std::make_shared<Stem>(s.in_channels, s.stem_width, s.width));
  for (size_t scale = 0; scale < scales; ++scale) {
    Stage::Settings stage = settings(scale);
    stage.convolutions = scale < kConvScales;
    down_.push_back(std::make_shared<Stage>(stage, chances[scale]));
    if (scale + 1 < scales) down_.back()->halve_behind();
  }
  for (size_t i = 0; i < scales; ++i) {
    up_.push_back(std::make_shared<Stage>(settings(scales - 1 - i), decoder_chances[i]));
    if (i > 0) up_.back()->double_before();
  }
  register_list(*this, "levels", down_);
  register_list(*this, "layers_up", up_);
  last_up_ = register_module("final_up", std::make_shared<PatchExpand2d>(s.width, 4));
  output_ = register_module("final_conv", conv(2, s.width / 4, s.classes, 1));
  start_as_vmamba(*this);  // also the time steps' projection, which MambaVision starts otherwise
}

std::vector<Tensor> HmtUnet::scores(const Tensor& input) {
  Tensor x = stem_->forward(input);
  std::vector<Tensor> skips;  // what entered each scale
  for (const auto& stage : down_) {
    skips.push_back(x);
    x = stage->forward(x);
  }
  for (size_t i = 0; i < up_.size(); ++i) x = up_[i]->forward(i == 0 ? x : x + skips[skips.size() - i]);
  return {output_->forward(last_up_->forward(x.permute({0, 2, 3, 1})).permute({0, 3, 1, 2}))};
}

Json official_settings(const Json& a) {
  HmtUnetSettings s;  // the official input_channels, num_classes and resolution have no effect
  s.depths = argument(a, "depths", s.depths);
  s.heads = argument(a, "num_heads", s.heads);
  s.windows = argument(a, "window_size", s.windows);
  s.width = argument<int64_t>(a, "dim", 80);
  s.stem_width = argument<int64_t>(a, "in_dim", 32);
  s.mlp_ratio = argument<double>(a, "mlp_ratio", 4);
  s.drop_path = argument(a, "drop_path_rate", 0.2);
  s.bias_twice = true;
  return to_json(s);
}

/// The official class keeps the network in a member.
std::string our_name(const std::string& official) {
  const std::string member = "hmtunet.";
  return official.starts_with(member) ? official.substr(member.size()) : official;
}

std::shared_ptr<Stage> official_stage(const Json& a) {
  return std::make_shared<Stage>(Stage::Settings{.width = a.at("dim"),
                                                 .heads = a.at("num_heads"),
                                                 .window = a.at("window_size"),
                                                 .mlp_ratio = argument<double>(a, "mlp_ratio", 4),
                                                 .bias_twice = true},
                                 std::vector<double>(a.at("depth").get<size_t>()));
}

constexpr const char* kRepository = "simzhangbest/HMT-Unet";

}  // namespace

NetworkEntry hmt_unet_entry() {
  using Part = std::shared_ptr<torch::nn::Module>;
  return hybrid_entry<HmtUnetSettings>(
      {.name = "hmt_unet",
       .dims = {2},
       .source = "Zhang et al.: HMT-UNet: A hybrid Mamba-Transformer Vision UNet for Medical Image "
                 "Segmentation, 2024; github.com/simzhangbest/HMT-Unet",
       .summary = "2-D U-Net of MambaVision's blocks: convolutions, Mamba and attention in windows",
       .parameters = 60'360'509,
       .small = R"({"classes": 3, "stem_width": 4, "width": 8, "depths": [1, 1, 2], "heads": [1, 2, 2],
                    "windows": [4, 4, 3], "mlp_ratio": 2, "drop_path": 0.0})",
       .small_edge = 32,
       .official = {{kRepository, "HMTUNet", official_settings, torch::sigmoid, our_name}},
       .blocks = {{kRepository,
                   {"Attention"},
                   [](const Json& a) -> Part {
                     return std::make_shared<SelfAttention>(
                         AttentionSettings{.width = a.at("dim"),
                                           .heads = argument<int64_t>(a, "num_heads", 8),
                                           .bias = argument(a, "qkv_bias", false)});
                   }},
                  {kRepository,
                   {"ConvBlock"},
                   [](const Json& a) -> Part {
                     return std::make_shared<ConvBlock>(a.at("dim").get<int64_t>(), 0);
                   }},
                  {kRepository,
                   {"MambaVisionMixer"},
                   [](const Json& a) -> Part {
                     return std::make_shared<MambaVisionMixer>(
                         MambaVisionMixer::Settings{.width = a.at("d_model"),
                                                    .states = argument<int64_t>(a, "d_state", 16),
                                                    .conv_kernel = argument<int64_t>(a, "d_conv", 4),
                                                    .expand = argument<int64_t>(a, "expand", 2),
                                                    .bias_twice = true});
                   }},
                  {kRepository,
                   {"MambaVisionLayer"},
                   [](const Json& a) -> Part {
                     const auto stage = official_stage(a);
                     if (argument(a, "downsample", true)) stage->halve_behind();
                     return stage;
                   }},
                  {kRepository,
                   {"MambaVisionLayer_up"},
                   [](const Json& a) -> Part {
                     const auto stage = official_stage(a);
                     if (argument(a, "upsample", true)) stage->double_before();
                     return stage;
                   }}}},
      [](const HmtUnetSettings& s) { return std::make_shared<HmtUnet>(s); });
}

}  // namespace mambaseg
