// LBMNet (Kuang et al. 2025), stroke lesions: an encoder of large-kernel convolutions (LSC), gated skips
// (BAGF) and a decoder of bidirectional Mamba blocks (BSC). No code is published, and the text leaves much
// open; the only numbers are 66.42 M parameters and 54.80 G FLOPs without a patch size. "lbmnet" is the
// literal reading with widths that give 66,419,480 parameters (the FLOPs then fit a 64^3 patch); "lbmnet_b"
// gives 66,416,310 and the FLOPs at 128^3, but starts with a stride of 4, against the text. Every open point
// is a setting, and so are the switches of Tables 6 to 9 and Figure 11.

#include "mambaseg/nets/blocks/lbmnet_blocks.h"
#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

struct Settings {
  int64_t dimension = 3;
  int64_t in_channels = 1;
  int64_t classes = 2;
  std::vector<int64_t> widths{40, 80, 160, 320, 640};
  int64_t stem_stride = 1;
  int64_t stem_kernel = 3;
  std::vector<int64_t> blocks{0, 2, 3, 4, 3};
  std::string encoder = "lsc";
  std::string decoder = "bsc";
  std::string skip = "bagf";
  std::vector<int64_t> lsc_kernels{5, 7};
  bool lsc_shared_pointwise = false;
  std::string lsc_refinement = "dense";
  bool bsc_spatial = true;
  std::string bsc_scan = "two_way";
  bool bsc_shared_weights = false;
  std::string bsc_attention_convolution = "depthwise";
  std::string bsc_activation = "gelu";
  bool bsc_norm = true;
  std::string bsc_residual = "input";
  bool bsc_bottleneck = false;
  bool bsc_first_level = true;
  int64_t states = 16;
  int64_t conv_kernel = 4;
  int64_t expand = 2;
  bool bagf_encoder_residual = true;
  bool bagf_encoder_attention = true;
  bool bagf_decoder_attention = true;
  std::string bagf_gate_maps = "voxel";
  std::string upsampling = "transposed";
  std::string norm = "instance";
  bool deep_supervision = true;

  void describe(SettingsVisitor& visit) {
    visit("dims", dimension, "spatial dimensions, 2 or 3", between(2, 3));
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("widths", widths, "channels of the stem and of each stage; the grid is halved from one to the next",
          at_least(1));
    visit("stem_stride", stem_stride, "stride of the stem; the scores are interpolated back", at_least(1));
    visit("stem_kernel", stem_kernel, "kernel edge of the stem, odd", between(1, 15));
    visit("blocks", blocks, "encoder blocks behind the stem and in each stage", at_least(0));
    visit("encoder", encoder,
          "lsc; conv: two convolutions instead of each block (Table 6); residual_1, residual_2: residual "
          "blocks of one or two "
          "3x3x3 convolutions with batch norm (baseline of Table 7)",
          one_of({"lsc", "conv", "residual_1", "residual_2"}));
    visit("decoder", decoder, "bsc; conv: two convolutions instead of each block (Table 6)",
          one_of({"bsc", "conv"}));
    visit("skip", skip, "bagf; concat: concatenation and a 1x1x1 convolution (Table 6, Figure 11)",
          one_of({"bagf", "concat"}));
    visit("lsc_kernels", lsc_kernels, "edges of the depthwise branches (Table 7)", between(1, 15));
    visit("lsc_shared_pointwise", lsc_shared_pointwise,
          "one 1x1x1 convolution before all branches (equation 1 as printed)");
    visit("lsc_refinement", lsc_refinement, "the 3x3x3 convolution behind the branches (Table 7)",
          one_of({"dense", "depthwise", "none"}));
    visit("bsc_spatial", bsc_spatial, "adaptive spatial convolutions in the decoder block (Table 8)");
    visit("bsc_scan", bsc_scan, "directions of Mamba (Tables 8 and 9); none: the same network without Mamba",
          one_of({"none", "one_way", "two_way", "four_way"}));
    visit("bsc_shared_weights", bsc_shared_weights, "one set of Mamba weights for all directions");
    visit("bsc_attention_convolution", bsc_attention_convolution,
          "the 3x3x3 convolution inside squeeze and excitation", one_of({"depthwise", "dense"}));
    visit("bsc_activation", bsc_activation, "phi of equation 5", one_of({"gelu", "silu", "sigmoid"}));
    visit("bsc_norm", bsc_norm, "layer norm before Mamba");
    visit("bsc_residual", bsc_residual, "equation 8 adds the input of the block, or that of Mamba",
          one_of({"input", "spatial"}));
    visit("bsc_bottleneck", bsc_bottleneck, "a decoder block on the deepest features too");
    visit("bsc_first_level", bsc_first_level,
          "false: no decoder block at the finest level, which holds most of the tokens");
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("conv_kernel", conv_kernel, "length of the causal convolution in Mamba", at_least(1));
    visit("expand", expand, "channels inside Mamba / outside", at_least(1));
    visit("bagf_encoder_residual", bagf_encoder_residual,
          "residual block on the encoder's features (Figure 11)");
    visit("bagf_encoder_attention", bagf_encoder_attention,
          "spatial attention on the encoder's features (Figure 11)");
    visit("bagf_decoder_attention", bagf_decoder_attention,
          "channel attention on the decoder's features (Figure 11)");
    visit("bagf_gate_maps", bagf_gate_maps, "the gate weighs voxels, or voxels of each channel",
          one_of({"voxel", "channel"}));
    visit("upsampling", upsampling, "transposed convolution, or interpolation and a 1x1x1 convolution",
          one_of({"transposed", "linear", "nearest"}));
    visit("norm", norm, "behind the stem and the strided convolutions", one_of({"instance", "batch"}));
    visit("deep_supervision", deep_supervision, "scores of the coarser decoder levels too while training");
  }

  size_t levels() const { return widths.size(); }
};

Settings reading_b() {
  Settings s;
  s.widths = {72, 144, 288, 576};
  s.stem_stride = 4;
  s.stem_kernel = 7;
  s.blocks = {4, 4, 4, 4};
  s.lsc_shared_pointwise = true;
  s.bsc_shared_weights = true;
  s.bsc_bottleneck = true;
  return s;
}

void check(const Settings& s) {
  if (s.levels() < 2)
    throw UsageError(concat("network: widths needs two entries at least, not ", s.levels()));
  if (s.blocks.size() != s.levels())
    throw UsageError(concat("network: blocks has ", s.blocks.size(), " entries, but widths ", s.levels()));
  if (s.encoder == "lsc" && s.lsc_kernels.empty())
    throw UsageError("network: lsc_kernels is empty; encoder = \"residual_2\" is the block without branches");
}

/// Convolution, norm, leaky ReLU.
class ConvUnit : public Layer {
 public:
  ConvUnit(int64_t in, int64_t out, const Extent& kernel, const Extent& stride, bool batch_norm)
      : conv_(register_module("conv",
                              std::make_shared<Convolution>(in, out, kernel, nnunet_convolution(stride)))) {
    if (batch_norm)
      batch_ = register_module("norm", std::make_shared<BatchNorm>(out));
    else
      instance_ = register_module("norm", std::make_shared<InstanceNorm>(out));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const Epilogue epilogue{Activation::leaky_relu, {}};
    return batch_ ? normed(*conv_, *batch_, x, epilogue) : instance_->run(conv_->forward(x), epilogue);
  }

 private:
  std::shared_ptr<Convolution> conv_;
  std::shared_ptr<BatchNorm> batch_;
  std::shared_ptr<InstanceNorm> instance_;
};

/// Two convolutions with norm and activation: what "conv" stands for. Prefixes "first", "second".
class PlainPair : public Layer {
 public:
  PlainPair(int64_t dims, int64_t channels, bool batch_norm) {
    const auto unit = [&] {
      return std::make_shared<ConvUnit>(channels, channels, cube(dims, 3), Extent{}, batch_norm);
    };
    first_ = register_module("first", unit());
    second_ = register_module("second", unit());
  }
  torch::Tensor forward(const torch::Tensor& x) override { return second_->forward(first_->forward(x)); }

 private:
  std::shared_ptr<ConvUnit> first_, second_;
};

/// A block under the name "block".
class Wrapped : public Layer {
 public:
  explicit Wrapped(std::shared_ptr<Layer> block) : block_(register_module("block", std::move(block))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return block_->forward(x); }

 private:
  std::shared_ptr<Layer> block_;
};

std::shared_ptr<Layer> encoder_block(const Settings& s, int64_t channels) {
  if (s.encoder == "conv") return std::make_shared<PlainPair>(s.dimension, channels, s.norm == "batch");
  LscSettings lsc{s.lsc_kernels, s.lsc_shared_pointwise, s.lsc_refinement, s.encoder == "residual_1" ? 1 : 2};
  if (s.encoder != "lsc") lsc.kernels.clear();
  return std::make_shared<Wrapped>(std::make_shared<LscBlock>(s.dimension, channels, lsc));
}

std::shared_ptr<Layer> decoder_block(const Settings& s, int64_t channels) {
  if (s.decoder == "conv") return std::make_shared<PlainPair>(s.dimension, channels, s.norm == "batch");
  BscSettings bsc;
  bsc.spatial = s.bsc_spatial;
  bsc.scan = s.bsc_scan;
  bsc.attention_convolution = s.bsc_attention_convolution;
  bsc.activation = s.bsc_activation;
  bsc.shared_weights = s.bsc_shared_weights;
  bsc.norm = s.bsc_norm;
  bsc.residual = s.bsc_residual;
  bsc.states = s.states;
  bsc.conv_kernel = s.conv_kernel;
  bsc.expand = s.expand;
  return std::make_shared<Wrapped>(std::make_shared<BscBlock>(s.dimension, channels, bsc));
}

/// Doubles the grid and takes `in` channels to `out`.
class Upsampling : public Layer {
 public:
  Upsampling(const Settings& s, int64_t in, int64_t out)
      : linear_(s.upsampling == "linear"), factor_(cube(s.dimension, 2)) {
    if (s.upsampling == "transposed") {
      transposed_ =
          register_module("transposed", std::make_shared<TransposedConvolution>(
                                            in, out, factor_, TransposedSettings{.start = Start::nnunet}));
    } else {
      pointwise_ = register_module("pointwise", nnunet_pointwise(s.dimension, in, out));
    }
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    if (transposed_) return transposed_->forward(x);
    // A 1x1x1 convolution and an interpolation may change places: the convolution sees the small grid.
    const torch::Tensor y = pointwise_->forward(x);
    return linear_ ? linear_upsampled(y, 2) : nearest_upsampled(y, factor_);
  }

 private:
  bool linear_;
  Extent factor_;
  std::shared_ptr<TransposedConvolution> transposed_;
  std::shared_ptr<Convolution> pointwise_;
};

class LbmNet : public Network {
 public:
  explicit LbmNet(const Settings& s) : settings_(s) {
    build_encoder();
    build_decoder();
  }

  Extent size_multiples() const override {
    return cube(settings_.dimension, settings_.stem_stride << (settings_.levels() - 1));
  }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    std::vector<torch::Tensor> skips;
    torch::Tensor y = x;
    for (size_t level = 0; level < downs_.size(); ++level) {
      y = downs_[level]->forward(y);
      for (const auto& block : encoder_[level]) y = block->forward(y);
      skips.push_back(y);
    }
    if (bottleneck_) y = bottleneck_->forward(y);
    const bool all = wants_all_scales() && settings_.deep_supervision;
    std::vector<torch::Tensor> out(downs_.size() - 1);
    for (size_t level = downs_.size() - 1; level-- > 0;) {
      y = fusions_[level]->forward(skips[level], ups_[level]->forward(y));
      if (decoder_[level]) y = decoder_[level]->forward(y);
      if (level == 0 || all) out[level] = heads_[level]->forward(y);
    }
    // The 1x1x1 convolution of the head and the interpolation may change places: the scores are interpolated,
    // not the features.
    if (settings_.stem_stride > 1) out[0] = linear_upsampled(out[0], settings_.stem_stride);
    if (!all) out.resize(1);
    return out;
  }

 private:
  void build_encoder() {
    const Settings& s = settings_;
    for (size_t level = 0; level < s.levels(); ++level) {
      const int64_t in = level == 0 ? s.in_channels : s.widths[level - 1], out = s.widths[level];
      const int64_t kernel = level == 0 ? s.stem_kernel : 3, stride = level == 0 ? s.stem_stride : 2;
      downs_.push_back(std::make_shared<ConvUnit>(in, out, cube(s.dimension, kernel),
                                                  cube(s.dimension, stride), s.norm == "batch"));
      encoder_.emplace_back();
      for (int64_t i = 0; i < s.blocks[level]; ++i) encoder_.back().push_back(encoder_block(s, out));
    }
    register_list(*this, "downs", downs_);
    const auto stages = register_module("encoder", std::make_shared<torch::nn::Module>());
    for (size_t level = 0; level < s.levels(); ++level)
      register_list(*stages, std::to_string(level), encoder_[level]);
  }

  void build_decoder() {
    const Settings& s = settings_;
    if (s.bsc_bottleneck) bottleneck_ = register_module("bottleneck", decoder_block(s, s.widths.back()));
    const BagfSettings bagf{s.skip == "bagf", s.bagf_encoder_residual, s.bagf_encoder_attention,
                            s.bagf_decoder_attention, s.bagf_gate_maps};
    for (size_t level = 0; level + 1 < s.levels(); ++level) {
      ups_.push_back(std::make_shared<Upsampling>(s, s.widths[level + 1], s.widths[level]));
      fusions_.push_back(std::make_shared<BagfBlock>(s.dimension, s.widths[level], bagf));
      decoder_.push_back(level == 0 && !s.bsc_first_level ? nullptr : decoder_block(s, s.widths[level]));
      heads_.push_back(nnunet_pointwise(s.dimension, s.widths[level], s.classes));
    }
    register_list(*this, "ups", ups_);
    register_list(*this, "fusions", fusions_);
    register_list(*this, "decoder", decoder_);
    register_list(*this, "heads", heads_);
  }

  Settings settings_;
  std::vector<std::shared_ptr<ConvUnit>> downs_;  // the stem and the strided convolutions
  std::vector<std::vector<std::shared_ptr<Layer>>> encoder_;
  std::vector<std::shared_ptr<Upsampling>> ups_;
  std::vector<std::shared_ptr<BagfBlock>> fusions_;
  std::vector<std::shared_ptr<Layer>> decoder_;
  std::vector<std::shared_ptr<Convolution>> heads_;
  std::shared_ptr<Layer> bottleneck_;
};

std::shared_ptr<Network> make(const Settings& settings) {
  check(settings);
  return std::make_shared<LbmNet>(settings);
}

struct ReadingB : Settings {
  ReadingB() : Settings(reading_b()) {}
};

NetworkFacts facts(const char* name, const char* summary, int64_t parameters, const char* small,
                   int64_t edge) {
  return {.name = name,
          .dims = {3, 2},
          .source = "Kuang et al.: LBMNet, Frontiers in Neurology 2025; no code is published",
          .summary = summary,
          .parameters = parameters,
          .small = small,
          .small_edge = edge};
}

}  // namespace

/// The literal reading of the paper, widths 40 to 640.
NetworkEntry lbmnet_entry() {
  return hybrid_entry<Settings>(
      facts("lbmnet", "large-kernel encoder, gated skips, bidirectional Mamba in the decoder", 66'419'480,
            R"({"classes": 3, "widths": [4, 6, 8], "blocks": [0, 1, 2], "states": 4})", 8),
      [](const Settings& s) { return make(s); });
}

/// The reading that also matches the published FLOPs at a 128^3 patch: starts at a quarter of the resolution.
NetworkEntry lbmnet_b_entry() {
  return hybrid_entry<ReadingB>(
      facts("lbmnet_b", "LBMNet read so that its FLOPs match too: starts at a quarter of the resolution",
            66'416'310, R"({"classes": 3, "widths": [4, 6, 8], "blocks": [1, 1, 1], "states": 4})", 16),
      [](const ReadingB& s) { return make(s); });
}

}  // namespace mambaseg
