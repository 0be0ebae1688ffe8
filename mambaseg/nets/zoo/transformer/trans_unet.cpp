// TransUNet (Chen et al. 2021), after its public code: a vision transformer between a residual convolutional
// encoder (R50-ViT-B/16) and a decoder with skips, or alone on patches of the image (ViT-B/16). Unlike there,
// images need not be square, and other sizes than positions were learnt for work, by interpolation.

#include "mambaseg/nets/blocks/attention.h"
#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/trans_unet_blocks.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/ops/norm.h"

namespace mambaseg {
namespace {

constexpr int64_t kPatch = 16;
constexpr int64_t kGroups = 32;
constexpr int64_t kHeadWidth = 512;  // of the decoder's first layer

struct TransUnetSettings {
  int64_t in_channels = 3;
  int64_t classes = 9;
  std::string encoder = "resnet";
  int64_t width = 64;
  std::vector<int64_t> units{3, 4, 9};
  int64_t hidden_size = 768;
  int64_t mlp_width = 3072;
  int64_t heads = 12;
  int64_t layers = 12;
  std::vector<int64_t> decoder_widths{256, 128, 64, 16};
  int64_t skips = 3;
  int64_t edge = 224;
  double dropout = 0.1;
  double attention_dropout = 0;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels; one (grey) is repeated to three", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("encoder", encoder,
          "resnet: residual convolutions before the transformer (R50-ViT-B/16); patches: none (ViT-B/16), "
          "which has no skips",
          one_of({"resnet", "patches"}));
    visit("width", width, "channels of the encoder at 1/2 resolution, a multiple of 32", at_least(1));
    visit("units", units, "residual units of the encoder's three blocks", at_least(1));
    visit("hidden_size", hidden_size, "channels of the tokens", at_least(1));
    visit("mlp_width", mlp_width, "channels inside the MLPs", at_least(1));
    visit("heads", heads, "attention heads", at_least(1));
    visit("layers", layers, "blocks of the transformer", at_least(1));
    visit("decoder_widths", decoder_widths, "channels of the decoder's four blocks, coarsest first",
          at_least(1));
    visit("skips", skips, "blocks of the decoder that get features of the encoder, coarsest first",
          between(0, 3));
    visit("edge", edge, "image edge that positions are learnt for, a multiple of 16; interpolated for others",
          at_least(kPatch));
    visit("dropout", dropout, "training: dropout behind the positions and in the MLPs", between(0, 1));
    visit("attention_dropout", attention_dropout,
          "training: dropout of the attention weights and behind their projection", between(0, 1));
  }
};

/// Group norm with the eps of this encoder.
class EncoderNorm : public GroupNorm {
 public:
  explicit EncoderNorm(int64_t channels) : GroupNorm(kGroups, channels) {}
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue) override {
    return group_norm(x, kGroups, weight, bias, kVitNormEps, epilogue);
  }
};

/// Bottleneck of a ResNet, convolution, norm, ReLU (its official name, PreActBottleneck, says otherwise).
/// Where the size changes the residual passes a convolution and a norm of each channel. Prefixes "conv1" to
/// "conv3", "gn1" to "gn3", "downsample", "gn_proj".
class Bottleneck : public Layer {
 public:
  Bottleneck(int64_t in, int64_t out, int64_t inner, int64_t stride) {
    const auto convolution = [&](const char* name, int64_t from, int64_t to, int64_t edge, int64_t step) {
      return register_module(name, std::make_shared<StandardConvolution>(from, to, edge, step));
    };
    conv1_ = convolution("conv1", in, inner, 1, 1);
    conv2_ = convolution("conv2", inner, inner, 3, stride);
    conv3_ = convolution("conv3", inner, out, 1, 1);
    norm1_ = register_module("gn1", std::make_shared<EncoderNorm>(inner));
    norm2_ = register_module("gn2", std::make_shared<EncoderNorm>(inner));
    norm3_ = register_module("gn3", std::make_shared<EncoderNorm>(out));
    if (stride == 1 && in == out) return;
    downsample_ = convolution("downsample", in, out, 1, stride);
    downsample_norm_ = register_module("gn_proj", std::make_shared<InstanceNorm>(out));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor residual = downsample_ ? downsample_norm_->forward(downsample_->forward(x)) : x;
    torch::Tensor y = norm1_->run(conv1_->forward(x), {Activation::relu, {}});
    y = norm2_->run(conv2_->forward(y), {Activation::relu, {}});
    return norm3_->run(conv3_->forward(y), {Activation::relu, residual});
  }

 private:
  std::shared_ptr<StandardConvolution> conv1_, conv2_, conv3_, downsample_;
  std::shared_ptr<EncoderNorm> norm1_, norm2_, norm3_;
  std::shared_ptr<InstanceNorm> downsample_norm_;
};

/// ResNetV2 with three blocks. Prefixes "root", "body.block1.unit1", ...
class ResnetEncoder : public Layer, public GivesSeveral {
 public:
  ResnetEncoder(int64_t in_channels, int64_t width, const std::vector<int64_t>& units) {
    if (units.size() != 3) throw UsageError(concat("units: expected 3 numbers, got ", units.size()));
    if (width % kGroups != 0)
      throw UsageError(concat("width: expected a multiple of ", kGroups, ", got ", width));
    const auto root = register_module("root", std::make_shared<torch::nn::Module>());
    conv_ = root->register_module("conv", std::make_shared<StandardConvolution>(in_channels, width, 7, 2));
    norm_ = root->register_module("gn", std::make_shared<EncoderNorm>(width));
    const auto body = register_module("body", std::make_shared<torch::nn::Module>());
    int64_t in = width;
    for (size_t b = 0; b < units.size(); ++b) {
      const auto block =
          body->register_module("block" + std::to_string(b + 1), std::make_shared<torch::nn::Module>());
      const int64_t inner = width << b, out = 4 * inner;
      blocks_.emplace_back();
      for (int64_t u = 0; u < units[b]; ++u) {
        blocks_[b].push_back(
            block->register_module("unit" + std::to_string(u + 1),
                                   std::make_shared<Bottleneck>(in, out, inner, b > 0 && u == 0 ? 2 : 1)));
        in = out;
      }
    }
  }
  /// x (B, C, Y, X), multiples of 16 -> features at 1/16, 1/8, 1/4 and 1/2 resolution. The pooling in front
  /// of the blocks is not padded, so that those at 1/4 miss a row and a column, which are 0 in what is
  /// returned.
  std::vector<torch::Tensor> features(const torch::Tensor& x) {
    std::vector<torch::Tensor> features{norm_->run(conv_->forward(x), {Activation::relu, {}})};
    torch::Tensor y = torch::max_pool2d(features[0], 3, 2);
    for (size_t b = 0; b < blocks_.size(); ++b) {
      for (const auto& unit : blocks_[b]) y = unit->forward(y);
      const int64_t down = int64_t{4} << b;
      features.insert(features.begin(), torch::constant_pad_nd(y, {0, x.size(3) / down - y.size(3), 0,
                                                                   x.size(2) / down - y.size(2)}));
    }
    return features;
  }
  std::vector<torch::Tensor> outputs(const std::map<std::string, torch::Tensor>& inputs) override {
    return features(inputs.at("x"));
  }
  torch::Tensor forward(const torch::Tensor& x) override { return features(x)[0]; }

 private:
  std::shared_ptr<StandardConvolution> conv_;
  std::shared_ptr<EncoderNorm> norm_;
  std::vector<std::vector<std::shared_ptr<Bottleneck>>> blocks_;
};

/// A block of the transformer.
std::shared_ptr<MixerBlock> transformer_block(const TransUnetSettings& s) {
  return vit_block({.width = s.hidden_size,
                    .mlp_width = s.mlp_width,
                    .heads = s.heads,
                    .dropout = s.dropout,
                    .attention_dropout = s.attention_dropout});
}

class TransUnet : public Network {
 public:
  explicit TransUnet(const TransUnetSettings& s);
  Extent size_multiples() const override { return cube(2, kPatch); }
  /// The encoder's last norms need more than one pixel.
  Extent least_sizes() const override { return cube(2, resnet_ ? 2 * kPatch : kPatch); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  size_t skips_;
  std::shared_ptr<ResnetEncoder> resnet_;  ///< or null
  std::shared_ptr<PatchEmbedding> embeddings_;
  std::shared_ptr<Dropout> dropout_;
  std::vector<std::shared_ptr<MixerBlock>> layers_;
  std::shared_ptr<LayerNorm> encoder_norm_;
  std::shared_ptr<Sequence> conv_more_;
  std::vector<std::shared_ptr<DecoderStage>> decoder_;
  std::shared_ptr<Convolution> head_;
};

TransUnet::TransUnet(const TransUnetSettings& s) : skips_(static_cast<size_t>(s.skips)) {
  const bool hybrid = s.encoder == "resnet";
  if (s.edge % kPatch != 0)
    throw UsageError(concat("edge: expected a multiple of ", kPatch, ", got ", s.edge));
  if (!hybrid && s.skips > 0) throw UsageError(concat("skips: expected 0 without an encoder, got ", s.skips));
  if (s.decoder_widths.size() != 4)
    throw UsageError(concat("decoder_widths: expected 4 numbers, got ", s.decoder_widths.size()));
  const int64_t channels = s.in_channels == 1 ? 3 : s.in_channels;
  const auto transformer = register_module("transformer", std::make_shared<torch::nn::Module>());
  const Extent grid = cube(2, s.edge / kPatch);
  embeddings_ = transformer->register_module(
      "embeddings", hybrid ? std::make_shared<PatchEmbedding>(16 * s.width, s.hidden_size, 1, grid)
                           : std::make_shared<PatchEmbedding>(channels, s.hidden_size, kPatch, grid));
  if (hybrid)
    resnet_ =
        static_cast<torch::nn::Module&>(*embeddings_)
            .register_module("hybrid_model", std::make_shared<ResnetEncoder>(channels, s.width, s.units));
  dropout_ = register_module("dropout", std::make_shared<Dropout>(s.dropout));
  const auto encoder = transformer->register_module("encoder", std::make_shared<torch::nn::Module>());
  for (int64_t i = 0; i < s.layers; ++i) layers_.push_back(transformer_block(s));
  register_list(*encoder, "layer", layers_);
  encoder_norm_ =
      encoder->register_module("encoder_norm", std::make_shared<LayerNorm>(s.hidden_size, kVitNormEps));

  const auto decoder = register_module("decoder", std::make_shared<torch::nn::Module>());
  conv_more_ = decoder->register_module("conv_more", conv_norm_relu(s.hidden_size, kHeadWidth));
  const int64_t skip_widths[] = {8 * s.width, 4 * s.width, s.width};
  int64_t in = kHeadWidth;
  for (size_t i = 0; i < s.decoder_widths.size(); ++i) {
    decoder_.push_back(
        std::make_shared<DecoderStage>(in, s.decoder_widths[i], i < skips_ ? skip_widths[i] : 0));
    in = s.decoder_widths[i];
  }
  register_list(*decoder, "blocks", decoder_);
  head_ = conv(2, in, s.classes, 3);
  register_list<Layer>(*this, "segmentation_head", {head_});
}

std::vector<torch::Tensor> TransUnet::scores(const torch::Tensor& input) {
  const torch::Tensor image = input.size(1) == 1 ? input.repeat({1, 3, 1, 1}) : input;
  std::vector<torch::Tensor> features{image};
  if (resnet_) features = resnet_->features(image);
  torch::Tensor x = dropout_->forward(embeddings_->forward(features[0]));
  for (const auto& layer : layers_) x = layer->forward(x);
  x = conv_more_->forward(encoder_norm_->forward(x).movedim(-1, 1));
  for (size_t i = 0; i < decoder_.size(); ++i)
    x = decoder_[i]->forward(x, i < skips_ ? features[i + 1] : torch::Tensor());
  return {head_->forward(x)};
}

TransUnetSettings official_arguments(const Json& a) {
  TransUnetSettings s;
  s.hidden_size = argument<int64_t>(a, "hidden_size", 768);
  s.mlp_width = argument<int64_t>(a, "mlp_dim", 3072);
  s.heads = argument<int64_t>(a, "num_heads", 12);
  s.layers = argument<int64_t>(a, "num_layers", 12);
  return s;
}

/// There most arguments are entries of a configuration; `kind` is R50 or B16.
Json official_settings(const Json& a) {
  TransUnetSettings s = official_arguments(a);
  s.edge = argument<int64_t>(a, "img_size", 224);
  s.encoder = argument<std::string>(a, "kind", "R50") == "R50" ? "resnet" : "patches";
  const int64_t grid = s.edge / kPatch;
  if (argument<Extent>(a, "grid", {grid, grid}) != cube(2, grid))
    throw UsageError(concat("grid: expected that of patches of ", kPatch, " pixels"));
  s.classes = argument<int64_t>(a, "num_classes", 9);
  s.width = static_cast<int64_t>(64 * argument(a, "width_factor", 1.0));
  s.units = argument(a, "block_units", s.units);
  s.skips = argument<int64_t>(a, "n_skip", 3);
  s.decoder_widths = argument(a, "decoder_channels", s.decoder_widths);
  return to_json(s);
}

/// Official blocks are tried as members of a module.
std::string without_member(const std::string& official) {
  return official.starts_with("b.") || official.starts_with("r.") ? official.substr(2) : official;
}

torch::Tensor run_decoder_stage(torch::nn::Module& module,
                                const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<DecoderStage&>(module).forward(inputs.at("x"), inputs.at("skip"));
}

}  // namespace

NetworkEntry trans_unet_entry() {
  using Module = std::shared_ptr<torch::nn::Module>;
  const char* repository = "Beckschen/TransUNet";
  return network_entry<TransUnetSettings>(
      {.name = "trans_unet",
       .dims = {2},
       .source = "Chen et al.: TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation, "
                 "2021; github.com/Beckschen/TransUNet",
       .summary = "2-D U-Net whose encoder ends in a vision transformer",
       .parameters = 105'277'081,
       .small =
           R"({"classes": 3, "width": 32, "units": [1, 1, 1], "hidden_size": 16, "mlp_width": 32, "heads": 4, "layers": 2, "decoder_widths": [8, 8, 4, 4], "edge": 32})",
       .small_edge = 32,
       .official = {{repository, "VisionTransformer", official_settings}},
       .blocks = {{repository,
                   {"PreActBottleneck"},
                   [](const Json& a) -> Module {
                     return std::make_shared<Bottleneck>(a.at("cin"), a.at("cout"), a.at("cmid"),
                                                         a.at("stride"));
                   }},
                  {repository,
                   {"ResNetV2"},
                   [](const Json& a) -> Module {
                     return std::make_shared<ResnetEncoder>(
                         3, static_cast<int64_t>(64 * argument(a, "width_factor", 1.0)),
                         a.at("block_units").get<std::vector<int64_t>>());
                   },
                   nullptr,
                   without_member},
                  {repository,
                   {"Block"},
                   [](const Json& a) -> Module { return transformer_block(official_arguments(a)); },
                   nullptr,
                   without_member},
                  {repository,
                   {"DecoderBlock"},
                   [](const Json& a) -> Module {
                     return std::make_shared<DecoderStage>(a.at("in_channels"), a.at("out_channels"),
                                                           a.at("skip_channels"));
                   },
                   run_decoder_stage}}},
      [](const TransUnetSettings& s) { return std::make_shared<TransUnet>(s); });
}

}  // namespace mambaseg
