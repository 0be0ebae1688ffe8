// FRPNet (feature refinement pyramid network for stroke lesions), after github.com/wu2ze2lin2/FRPNet, whose
// module names it keeps: a convolutional encoder with attention behind each scale, transformers of
// TransUNet's kind on the three coarsest, a decoder that joins them. Of the attention's three gates, for
// channels, height and width, the original computes one three times (its permute() has no effect); so it is
// here. It takes 192 x 192 pixels only; here, where nothing is learnt for places, multiples of 16. A
// thirtieth of the original's numbers reaches no score: `unused` says whether they are kept (not computed
// with).

#include "mambaseg/nets/blocks/double_conv.h"
#include "mambaseg/nets/blocks/trans_unet_blocks.h"
#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr int64_t kWide = 512;  // channels from which gated features are added and not joined

struct FrpNetSettings {
  int64_t in_channels = 1;
  int64_t classes = 1;
  std::vector<int64_t> widths{64, 128, 256, 512, 1024};
  std::vector<int64_t> hidden_sizes{768, 384, 192};
  std::vector<int64_t> layers{12, 4, 2};
  int64_t heads = 12;
  std::vector<int64_t> joined_widths{512, 256, 128};
  std::vector<int64_t> decoder_widths{512, 384, 256, 32};
  double dropout = 0.2;
  bool unused = true;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the encoder's five scales, finest first", at_least(1));
    visit("hidden_sizes", hidden_sizes, "channels of the tokens of the three transformers, coarsest first",
          at_least(1));
    visit("layers", layers, "blocks of the three transformers, coarsest first", at_least(1));
    visit("heads", heads, "attention heads", at_least(1));
    visit("joined_widths", joined_widths, "channels behind the three transformers", at_least(1));
    visit("decoder_widths", decoder_widths, "channels of the decoder's four blocks, coarsest first",
          at_least(1));
    visit("dropout", dropout, "training: before the coarsest scale", between(0, 1));
    visit("unused", unused, "keep the layers of the official class that reach no score");
  }
};

std::shared_ptr<Convolution> no_bias(int64_t in, int64_t out, int64_t edge) {
  return conv(2, in, out, edge, {.bias = false});
}

/// The official d3block: x + joined gates + place gate. Of a gate for each channel; the sum (wide) or the
/// joined copies of the three gated ones pass a 1x1 convolution. Prefixes "conv" (along the channels),
/// "conv2" (of joined copies), "conv3" (of their sum), "yhw.conv7" to "yhw.conv1" (places).
class RefinementBlock : public Layer {
 public:
  RefinementBlock(int64_t channels, int64_t reach, bool unused) : reach_(reach), sums_(channels >= kWide) {
    channel_gate_ = register_module("conv", std::make_shared<torch::nn::Module>())
                        ->register_parameter("weight", torch::empty({1, 1, reach}));
    Tensor no_bias_here;
    start_weights(Start::pytorch, channel_gate_, no_bias_here);
    if (!sums_ || unused) join_ = register_module("conv2", no_bias(3 * channels, channels, 1));
    if (sums_ || unused) sum_ = register_module("conv3", no_bias(channels, channels, 1));
    const auto places = register_module("yhw", std::make_shared<torch::nn::Module>());
    for (const int64_t edge : {7, 5, 3, 1})
      places_.push_back(places->register_module("conv" + std::to_string(edge), no_bias(2, 1, edge)));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor extent = x.mean({2, 3}) + x.amax({2, 3});
    const Tensor gate =  // a number a channel: in fp32 on any processor
        torch::conv1d(extent.unsqueeze(1).to(channel_gate_.scalar_type()), channel_gate_, {}, 1, reach_ / 2)
            .sigmoid()
            .to(x.scalar_type())
            .view({x.size(0), x.size(1), 1, 1});
    const Tensor gated = x * gate;
    const Tensor y = sums_ ? sum_->forward(3 * gated) : join_->forward(torch::cat({gated, gated, gated}, 1));
    const Tensor seen = channel_mean_and_max(x);
    Tensor place = places_[0]->forward(seen);
    for (size_t i = 1; i < places_.size(); ++i) place = places_[i]->run(seen, {Activation::none, place});
    return x + y + x * place.sigmoid();
  }

 private:
  int64_t reach_;
  bool sums_;
  Tensor channel_gate_;
  std::shared_ptr<Convolution> join_, sum_;
  std::vector<std::shared_ptr<Convolution>> places_;
};

/// Tokens of one scale: a 1x1 convolution and a transformer.
struct ScaleTransformer {
  std::shared_ptr<StandardConvolution> embedding;
  std::vector<std::shared_ptr<MixerBlock>> layers;
  std::shared_ptr<LayerNorm> norm;
  std::shared_ptr<Sequence> join;
  Tensor forward(const Tensor& x) const {
    Tensor y = embedding->forward(x).movedim(1, -1);
    for (const auto& layer : layers) y = layer->forward(y);
    return join->forward(norm->forward(y).movedim(-1, 1));
  }
};

class FrpNet : public Network {
 public:
  explicit FrpNet(const FrpNetSettings& s);
  Extent size_multiples() const override { return cube(2, int64_t{1} << (stages_.size() - 1)); }

 protected:
  std::vector<Tensor> scores(const Tensor& x_BCYX) override;

 private:
  std::vector<std::shared_ptr<Sequence>> stages_;              ///< finest first
  std::vector<std::shared_ptr<RefinementBlock>> refinements_;  ///< of all but the coarsest
  std::shared_ptr<Dropout> dropout_;
  std::vector<ScaleTransformer> transformers_;          ///< coarsest first
  std::vector<std::shared_ptr<DecoderStage>> decoder_;  ///< coarsest first
  std::shared_ptr<Convolution> head_;
};

void check(const FrpNetSettings& s) {
  if (s.widths.size() != 5 || s.hidden_sizes.size() != 3 || s.layers.size() != 3 ||
      s.joined_widths.size() != 3 || s.decoder_widths.size() != 4)
    throw UsageError(
        concat("widths, hidden_sizes, layers, joined_widths, decoder_widths: expected 5, 3, 3, 3 and 4 "
               "numbers, got ",
               s.widths.size(), ", ", s.hidden_sizes.size(), ", ", s.layers.size(), ", ",
               s.joined_widths.size(), " and ", s.decoder_widths.size()));
}

FrpNet::FrpNet(const FrpNetSettings& s) {
  check(s);
  const auto& w = s.widths;
  const auto holder = [] { return std::make_shared<torch::nn::Module>(); };
  const auto transformer = register_module("transformer", holder());
  const auto embeddings = transformer->register_module("embeddings", holder());
  const auto encoder = embeddings->register_module("hybrid_model", holder());
  for (size_t i = 0; i < w.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    stages_.push_back(double_conv(i == 0 ? s.in_channels : w[i - 1], w[i],
                                  {.bias = true, .activation = Activation::leaky_relu}));
    encoder->register_module("Conv" + number, holder())->register_module("double_conv", stages_[i]);
    const bool last = i + 1 == w.size();
    if (last && !s.unused) continue;
    const auto refinement = encoder->register_module(
        "d3_" + number, std::make_shared<RefinementBlock>(w[i], i == 0 ? 3 : 5, s.unused));
    if (!last) refinements_.push_back(refinement);
  }
  dropout_ = register_module("dropout", std::make_shared<Dropout>(s.dropout));

  const auto blocks = transformer->register_module("blocks", holder());
  const auto decoder = register_module("decoder", holder());
  const char* names[] = {"768", "384", "192", "96"};  // whatever the settings say
  for (size_t i = 0; i < s.layers.size(); ++i) {
    const int64_t width = s.hidden_sizes[i];
    ScaleTransformer scale;
    scale.embedding =
        embeddings->register_module(concat("patch_embeddings_", names[i]),
                                    std::make_shared<StandardConvolution>(w[4 - i], width, 1, 1, true));
    const auto block = blocks->register_module(std::to_string(i), holder());
    for (int64_t layer = 0; layer < s.layers[i]; ++layer)
      scale.layers.push_back(vit_block({.width = width, .mlp_width = 4 * width, .heads = s.heads}));
    register_list(*block, "layer", scale.layers);
    scale.norm = block->register_module("encoder_norm", std::make_shared<LayerNorm>(width, kVitNormEps));
    scale.join =
        decoder->register_module(concat("conv_more_", names[i]), conv_norm_relu(width, s.joined_widths[i]));
    transformers_.push_back(scale);
  }
  if (s.unused) {
    const int64_t width = s.hidden_sizes[2] / 2;
    embeddings->register_module(concat("patch_embeddings_", names[3]),
                                std::make_shared<StandardConvolution>(w[1], width, 1, 1, true));
    decoder->register_module(concat("conv_more_", names[3]), conv_norm_relu(width, s.joined_widths[2] / 2));
  }
  const int64_t skips[] = {s.joined_widths[1], s.joined_widths[2], w[1], 0};
  int64_t in = s.joined_widths[0];
  for (size_t i = 0; i < s.decoder_widths.size(); ++i) {
    decoder_.push_back(std::make_shared<DecoderStage>(in, s.decoder_widths[i], skips[i]));
    in = s.decoder_widths[i];
  }
  register_list(*decoder, "blocks", decoder_);
  head_ = conv(2, in, s.classes, 3);
  register_list<Layer>(*this, "segmentation_head", {head_});
}

std::vector<Tensor> FrpNet::scores(const Tensor& input) {
  std::vector<Tensor> features;  // finest first
  Tensor x = input;
  for (size_t i = 0; i < stages_.size(); ++i) {
    if (i > 0) x = halved_by_max(x);
    const bool last = i + 1 == stages_.size();
    x = stages_[i]->forward(last ? dropout_->forward(x) : x);
    if (!last) x = refinements_[i]->forward(x);
    features.push_back(x);
  }
  x = transformers_[0].forward(features[4]);
  const Tensor skips[] = {transformers_[1].forward(features[3]), transformers_[2].forward(features[2]),
                          features[1], Tensor()};
  for (size_t i = 0; i < decoder_.size(); ++i) x = decoder_[i]->forward(x, skips[i]);
  return {head_->forward(x)};
}

Json official_settings(const Json& a) {
  FrpNetSettings s;  // the official n_channels and img_size have no effect
  s.classes = argument<int64_t>(a, "num_classes", 1);
  s.layers = argument(a, "layers", s.layers);
  return to_json(s);
}

constexpr const char* kRepository = "wu2ze2lin2/FRPNet";

}  // namespace

NetworkEntry frp_net_entry() {
  return network_entry<FrpNetSettings>(
      {.name = "frp_net",
       .dims = {2},
       .source = "FRPNet: feature refinement pyramid network for stroke lesion segmentation; "
                 "github.com/wu2ze2lin2/FRPNet",
       .summary = "2-D U-Net with gates behind each scale and transformers on the three coarsest",
       .parameters = 134'525'152,
       .small = R"({"classes": 3, "widths": [4, 6, 8, 8, 12], "hidden_sizes": [16, 8, 8], "layers": [2, 1, 1],
                    "heads": 4, "joined_widths": [8, 6, 4], "decoder_widths": [8, 6, 4, 4], "dropout": 0.0,
                    "unused": false})",
       .small_edge = 32,
       .official = {{kRepository, "FRPNet", official_settings}},
       .blocks = {{kRepository,
                   {"d3block"},
                   [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
                     return std::make_shared<RefinementBlock>(a.at("inchannel"), a.at("k_size"), true);
                   }}}},
      [](const FrpNetSettings& s) { return std::make_shared<FrpNet>(s); });
}

}  // namespace mambaseg
