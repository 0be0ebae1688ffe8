// MLLA-UNet (Jiang et al. 2024), after its public code, whose module names it keeps: a U-Net of MLLA's blocks
// (Han et al. 2024), linear attention where Mamba has its scan, in a convolutional stem and between
// convolutions that halve and double the grid. Skips are what enters the encoder's scales. Unlike there,
// planes need not be square or of one size. The repository speaks of 25, 43 and 96 million parameters: those
// of MLLA's classifiers.

#include "mambaseg/nets/blocks/linear_attention.h"
#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/row_of_tokens.h"
#include "mambaseg/nets/blocks/vss_encoder.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct MllaUnetSettings {
  int64_t in_channels = 3;
  int64_t classes = 9;
  int64_t width = 64;
  std::vector<int64_t> depths{2, 4, 8, 4};
  std::vector<int64_t> decoder_depths{2, 2, 2};
  std::vector<int64_t> heads{2, 4, 8, 16};
  int64_t mlp_ratio = 4;
  double drop_path = 0.2;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels; one (grey) is repeated to three", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("width", width, "channels of the finest tokens, a multiple of 4; doubled at each scale",
          at_least(4));
    visit("depths", depths, "blocks of the encoder's scales, finest first", at_least(1));
    visit("decoder_depths", decoder_depths, "blocks of the decoder's scales, coarsest first", at_least(1));
    visit("heads", heads, "attention heads of the scales, finest first", at_least(1));
    visit("mlp_ratio", mlp_ratio, "hidden channels of the MLP / width", at_least(1));
    visit(
        "drop_path", drop_path,
        "training: chance that the encoder's deepest block's branches are left out for a sample; falls to 0 "
        "towards the finest",
        between(0, 1));
  }
};

/// Convolution, batch norm (optional), activation. Prefixes "conv", "norm".
class ConvLayer : public Layer {
 public:
  ConvLayer(std::shared_ptr<Convolution> conv, int64_t normed_channels, Activation activation)
      : conv_(register_module("conv", std::move(conv))), activation_(activation) {
    if (normed_channels > 0) norm_ = register_module("norm", std::make_shared<BatchNorm>(normed_channels));
  }
  Tensor forward(const Tensor& x) override {
    const Epilogue epilogue{activation_, {}};
    return norm_ ? normed(*conv_, *norm_, x, epilogue) : conv_->run(x, epilogue);
  }

 private:
  std::shared_ptr<Convolution> conv_;
  std::shared_ptr<BatchNorm> norm_;
  Activation activation_;
};

std::shared_ptr<ConvLayer> conv_layer(int64_t in, int64_t out, Activation activation = Activation::none,
                                      int64_t edge = 1, const ConvolutionSettings& settings = {},
                                      bool norm = true) {
  return std::make_shared<ConvLayer>(conv(2, in, out, edge, settings), norm ? out : 0, activation);
}

/// A quarter of the plane's edges. Prefixes "conv1", "conv2", "conv3".
class Stem : public Layer {
 public:
  Stem(int64_t in, int64_t width) {
    const int64_t half = width / 2;
    const ConvolutionSettings keep{.bias = false}, halve{.stride = {2, 2}, .bias = false};
    conv1_ = register_module("conv1", conv_layer(in, half, Activation::relu, 3, halve));
    conv2_ = register_module("conv2", sequence({conv_layer(half, half, Activation::relu, 3, keep),
                                                conv_layer(half, half, Activation::none, 3, keep)}));
    conv3_ = register_module("conv3", sequence({conv_layer(half, 4 * width, Activation::relu, 3, halve),
                                                conv_layer(4 * width, width, Activation::none, 1, keep)}));
  }
  /// (B, C, Y, X) -> (B, Y / 4, X / 4, width)
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv1_->forward(x);
    return conv3_->forward(y + conv2_->forward(y)).permute({0, 2, 3, 1});
  }

 private:
  std::shared_ptr<Layer> conv1_, conv2_, conv3_;
};

/// Each channel by itself onto twice the grid. Parameter "weight" as torch.nn.ConvTranspose2d.
class DepthwiseDoubling : public Layer {
 public:
  explicit DepthwiseDoubling(int64_t channels)
      : weight_(register_parameter("weight", torch::empty({channels, 1, 3, 3}))) {
    Tensor none;
    start_weights(Start::pytorch, weight_, none);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor wide = x.to(weight_.scalar_type());
    return torch::conv_transpose2d(wide, weight_, {}, 2, 1, /*output_padding=*/1, weight_.size(0))
        .to(x.scalar_type());
  }

 private:
  Tensor weight_;
};

/// Widens, convolves each channel onto another grid, narrows to `out`, norm. Prefix "conv", and "norm" behind
/// a doubling.
class Resampling : public Layer {
 public:
  Resampling(int64_t in, int64_t between, int64_t out, bool doubles) {
    std::shared_ptr<Layer> resample;
    if (doubles)
      resample = std::make_shared<DepthwiseDoubling>(between);
    else
      resample =
          std::make_shared<ConvLayer>(depthwise(2, between, 3, {.stride = {2, 2}}), 0, Activation::relu);
    conv_ = register_module("conv", sequence({conv_layer(in, between, Activation::relu, 1, {}, false),
                                              resample, conv_layer(between, out)}));
    if (doubles) norm_ = register_module("norm", std::make_shared<LayerNorm>(out));
  }
  static std::shared_ptr<Resampling> merging(int64_t width) {
    return std::make_shared<Resampling>(width, 8 * width, 2 * width, false);
  }
  static std::shared_ptr<Resampling> expanding(int64_t width) {
    return std::make_shared<Resampling>(width, 4 * width, width / 2, true);
  }
  Tensor forward(const Tensor& x_BYXC) override {
    const Tensor y = conv_->forward(x_BYXC.permute({0, 3, 1, 2})).permute({0, 2, 3, 1});
    return norm_ ? norm_->forward(y) : y;
  }

 private:
  std::shared_ptr<Layer> conv_;
  std::shared_ptr<LayerNorm> norm_;
};

/// With x' = x + DWConv(x): x' + out(attention(silu(DWConv(in(LN(x'))))) * silu(act(LN(x')))), plus its own
/// depthwise convolution, plus MLP(LN()).
class MllaBlock : public Layer {
 public:
  MllaBlock(int64_t width, int64_t heads, int64_t mlp_hidden, double drop_path)
      : cpe1_(register_module("cpe1", depthwise(2, width, 3))),
        norm1_(register_module("norm1", std::make_shared<LayerNorm>(width))),
        in_(register_module("in_proj", std::make_shared<Linear>(width, width))),
        act_(register_module("act_proj", std::make_shared<Linear>(width, width))),
        dwc_(register_module("dwc", depthwise(2, width, 3))),
        attn_(register_module("attn", std::make_shared<LinearAttention>(width, heads))),
        out_(register_module("out_proj", std::make_shared<Linear>(width, width))),
        cpe2_(register_module("cpe2", depthwise(2, width, 3))),
        norm2_(register_module("norm2", std::make_shared<LayerNorm>(width))),
        mlp_(register_module("mlp", std::make_shared<MixerMlp>(width, mlp_hidden, 0, "fc1", "fc2"))),
        path_(register_module("drop_path", std::make_shared<DropPath>(drop_path))) {}
  Tensor forward(const Tensor& input) override {
    const Tensor x = convolved(*cpe1_, input, {Activation::none, input.permute({0, 3, 1, 2})});
    const Tensor h = norm1_->forward(x), gate = act_->run(h, {Activation::silu, {}});
    const Tensor mixed = attn_->forward(convolved(*dwc_, in_->forward(h), {Activation::silu, {}}));
    const Tensor y = x + path_->forward(out_->forward(mixed * gate));
    const Tensor z = convolved(*cpe2_, y, {Activation::none, y.permute({0, 3, 1, 2})});
    return z + path_->forward(mlp_->forward(norm2_->forward(z)));
  }

 private:
  static Tensor convolved(Convolution& conv, const Tensor& x, const Epilogue& epilogue) {
    return conv.run(x.permute({0, 3, 1, 2}), epilogue).permute({0, 2, 3, 1});
  }

  std::shared_ptr<Convolution> cpe1_;
  std::shared_ptr<LayerNorm> norm1_;
  std::shared_ptr<Linear> in_, act_;
  std::shared_ptr<Convolution> dwc_;
  std::shared_ptr<LinearAttention> attn_;
  std::shared_ptr<Linear> out_;
  std::shared_ptr<Convolution> cpe2_;
  std::shared_ptr<LayerNorm> norm2_;
  std::shared_ptr<MixerMlp> mlp_;
  std::shared_ptr<DropPath> path_;
};

/// Prefix "blocks", then that of what changes the grid.
class MllaStage : public Layer {
 public:
  MllaStage(const MllaUnetSettings& s, size_t scale, const std::vector<double>& chances) {
    const int64_t width = s.width << scale;
    for (const double chance : chances)
      blocks_.push_back(std::make_shared<MllaBlock>(width, s.heads[scale], s.mlp_ratio * width, chance));
    register_list(*this, "blocks", blocks_);
  }
  void then(const char* name, std::shared_ptr<Layer> change) {
    change_ = register_module(name, std::move(change));
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = x;
    for (const auto& block : blocks_) y = block->forward(y);
    return change_ ? change_->forward(y) : y;
  }

 private:
  std::vector<std::shared_ptr<MllaBlock>> blocks_;
  std::shared_ptr<Layer> change_;
};

class MllaUnet : public Network {
 public:
  explicit MllaUnet(const MllaUnetSettings& s);
  Extent size_multiples() const override { return cube(2, 4 << (down_.size() - 1)); }

 protected:
  std::vector<Tensor> scores(const Tensor& x_BCYX) override;

 private:
  std::shared_ptr<Stem> stem_;
  std::vector<std::shared_ptr<MllaStage>> down_, up_;  ///< finest first; second coarsest first
  std::vector<std::shared_ptr<Linear>> join_;          ///< second coarsest first
  std::shared_ptr<Layer> norm_, first_up_, norm_up_, last_up_;
  std::shared_ptr<Convolution> output_;
};

MllaUnet::MllaUnet(const MllaUnetSettings& s) {
  const size_t scales = s.depths.size();
  if (scales < 2 || s.heads.size() != scales || s.decoder_depths.size() + 1 != scales)
    throw UsageError(
        concat("depths, heads, decoder_depths: expected a number a scale each, of two scales at "
               "least, and one less for the decoder, got ",
               scales, ", ", s.heads.size(), " and ", s.decoder_depths.size()));
  int64_t blocks = 0;
  for (const int64_t depth : s.depths) blocks += depth;
  const auto chances = by_scale(rising_drop_path(blocks, s.drop_path), s.depths);
  stem_ =
      register_module("patch_embed", std::make_shared<Stem>(s.in_channels == 1 ? 3 : s.in_channels, s.width));
  for (size_t scale = 0; scale < scales; ++scale) {
    down_.push_back(std::make_shared<MllaStage>(s, scale, chances[scale]));
    if (scale + 1 < scales) down_.back()->then("downsample", Resampling::merging(s.width << scale));
  }
  norm_ = register_module("norm", std::make_shared<LayerNorm>(s.width << (scales - 1)));
  std::vector<std::shared_ptr<Layer>> layers_up{first_up_ = Resampling::expanding(s.width << (scales - 1))};
  std::vector<std::shared_ptr<Linear>> joins{nullptr};
  for (size_t scale = scales - 1; scale-- > 0;) {
    const int64_t width = s.width << scale;
    std::vector<double> here = chances[scale];  // those of the encoder's first blocks
    here.resize(static_cast<size_t>(s.decoder_depths[up_.size()]), here.back());
    join_.push_back(std::make_shared<Linear>(2 * width, width));
    up_.push_back(std::make_shared<MllaStage>(s, scale, here));
    if (scale > 0) up_.back()->then("upsample", Resampling::expanding(width));
    joins.push_back(join_.back());
    layers_up.push_back(up_.back());
  }
  register_list(*this, "layers", down_);
  register_list(*this, "layers_up", layers_up);
  register_list(*this, "concat_back_dim", joins);
  norm_up_ = register_module("norm_up", std::make_shared<LayerNorm>(s.width));
  last_up_ = register_module("up", std::make_shared<PatchExpand2d>(s.width, 4, s.width));
  output_ = register_module("output", conv(2, s.width, s.classes, 1, {.bias = false}));
  start_as_vmamba(*this);  // which has it from the Swin Transformer, as MLLA
}

std::vector<Tensor> MllaUnet::scores(const Tensor& input) {
  Tensor x = stem_->forward(input.size(1) == 1 ? input.repeat({1, 3, 1, 1}) : input);
  std::vector<Tensor> skips;  // what entered each stage
  for (const auto& stage : down_) {
    skips.push_back(x);
    x = stage->forward(x);
  }
  x = first_up_->forward(norm_->forward(x));
  for (size_t i = 0; i < up_.size(); ++i)
    x = up_[i]->forward(join_[i]->forward(torch::cat({x, skips[up_.size() - 1 - i]}, -1)));
  return {output_->forward(last_up_->forward(norm_up_->forward(x)).permute({0, 3, 1, 2}))};
}

Json official_settings(const Json& a) {
  MllaUnetSettings s;
  if (argument(a, "ape", false)) throw UsageError("ape: expected false, as published");
  s.in_channels = argument<int64_t>(a, "in_chans", 3);
  s.classes = argument<int64_t>(a, "num_classes", 1000);
  s.width = argument<int64_t>(a, "embed_dim", 64);
  s.depths = argument(a, "depths", s.depths);
  const auto decoder = argument<std::vector<int64_t>>(a, "depths_decoder", {1, 2, 2, 2});
  s.decoder_depths.assign(decoder.begin() + 1, decoder.end());  // the first has no effect
  s.heads = argument(a, "num_heads", s.heads);
  s.mlp_ratio = argument<int64_t>(a, "mlp_ratio", 4);
  s.drop_path = argument(a, "drop_path_rate", 0.2);
  return to_json(s);
}

/// The class MLLAUnet keeps the network in a member.
std::string our_name(const std::string& official) {
  const std::string member = "mlla_unet.";
  return official.starts_with(member) ? official.substr(member.size()) : official;
}

constexpr const char* kRepository = "csyfjiang/MLLA-UNet";

OfficialBlock on_row(const char* name, std::shared_ptr<torch::nn::Module> (*make)(const Json&)) {
  return {kRepository, {name}, make, nullptr, OnRowOfTokens::our_name};
}

}  // namespace

NetworkEntry mllaunet_entry() {
  using Part = std::shared_ptr<torch::nn::Module>;
  return network_entry<MllaUnetSettings>(
      {.name = "mllaunet",
       .dims = {2},
       .source =
           "Jiang et al.: MLLA-UNet: Mamba-like Linear Attention in an Efficient U-Shape Model for Medical "
           "Image Segmentation, 2024; github.com/csyfjiang/MLLA-UNet",
       .summary = "2-D U-Net of linear attention in Mamba's macro design",
       .parameters = 28'505'312,
       .small = R"({"classes": 3, "width": 8, "depths": [1, 2], "decoder_depths": [1], "heads": [1, 2],
                    "mlp_ratio": 2, "drop_path": 0.0})",
       .small_edge = 16,
       .official = {{kRepository, "MLLA_UNet", official_settings, nullptr, our_name}},
       .blocks = {on_row("LinearAttention",
                         [](const Json& a) -> Part {
                           return std::make_shared<OnRowOfTokens>(
                               a, std::make_shared<LinearAttention>(a.at("dim").get<int64_t>(),
                                                                    a.at("num_heads").get<int64_t>()));
                         }),
                  on_row("MLLABlock",
                         [](const Json& a) -> Part {
                           const int64_t width = a.at("dim");
                           return std::make_shared<OnRowOfTokens>(
                               a,
                               std::make_shared<MllaBlock>(width, a.at("num_heads"),
                                                           argument<int64_t>(a, "mlp_ratio", 4) * width, 0));
                         }),
                  on_row("PatchMerging",
                         [](const Json& a) -> Part {
                           return std::make_shared<OnRowOfTokens>(a, Resampling::merging(a.at("dim")));
                         }),
                  on_row("PatchExpand",
                         [](const Json& a) -> Part {
                           return std::make_shared<OnRowOfTokens>(a, Resampling::expanding(a.at("dim")));
                         }),
                  {kRepository,
                   {"Stem"},
                   [](const Json& a) -> Part {
                     return std::make_shared<Stem>(3, a.at("embed_dim").get<int64_t>());
                   },
                   [](torch::nn::Module& module, const std::map<std::string, Tensor>& inputs) {
                     return dynamic_cast<Layer&>(module).forward(inputs.at("x")).flatten(1, 2);
                   }}}},
      [](const MllaUnetSettings& s) { return std::make_shared<MllaUnet>(s); });
}

}  // namespace mambaseg
