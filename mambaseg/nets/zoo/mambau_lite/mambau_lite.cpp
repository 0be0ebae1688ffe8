// MambaU-Lite for skin lesions (2024), after its public code, whose module names it keeps: a U-Net of 0.4
// million parameters. A selective kernel at full resolution; encoder stages of one selective scan for both
// halves of the channels, of which the deep ones run beside stages of axial depthwise convolutions; CBAM on
// the skips; attention over channels and places (PCA, PSA) at the bottom; and the heads of four scales,
// joined by a convolution.

#include "mambaseg/nets/blocks/attention_gate.h"
#include "mambaseg/nets/blocks/conv_block_attention.h"
#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/selective_kernel.h"
#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

constexpr double kScanNormEps = 1e-6;

struct MambaULiteSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  int64_t width = 16;
  int64_t states = 16;
  bool batch_softmax = false;
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("width", width, "channels of the finest scale, even; deeper ones have 2, 4, 8 and 16 times as many",
          at_least(2));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("batch_softmax", batch_softmax,
          "the attention over places takes a softmax over the images of a batch, as published, so that the "
          "scores of one depend on the others; off: each image as if it were alone");
  }
};

std::shared_ptr<BatchNorm> norm(int64_t channels) { return std::make_shared<BatchNorm>(channels); }

/// x and depthwise convolutions of it along columns and rows. Prefixes "dw_h", "dw_w".
class AxialDepthwise : public Layer {
 public:
  AxialDepthwise(int64_t channels, int64_t taps) {
    const ConvolutionSettings each{.groups = channels};
    column_ =
        register_module("dw_h", std::make_shared<Convolution>(channels, channels, Extent{taps, 1}, each));
    row_ = register_module("dw_w", std::make_shared<Convolution>(channels, channels, Extent{1, taps}, each));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    return x + column_->forward(x) + row_->forward(x);
  }

 private:
  std::shared_ptr<Convolution> column_, row_;
};

/// Depthwise convolution, one VSS block for both halves of the channels plus these, scaled; instance norm,
/// leaky ReLU. Prefixes "dw33", "block", "scale", "ins_norm".
class MambaSplit : public Layer {
 public:
  MambaSplit(int64_t channels, int64_t states)
      : dw33_(register_module("dw33", depthwise(2, channels, 3))),
        block_(register_module(
            "block", std::make_shared<VssBlock2d>(Ss2dSettings{.width = channels / 2, .states = states}, 0,
                                                  kScanNormEps))),
        norm_(register_module("ins_norm", std::make_shared<InstanceNorm>(channels))),
        scale_(register_parameter("scale", torch::ones({1}))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    std::vector<torch::Tensor> read;
    for (const torch::Tensor& half : dw33_->forward(x).chunk(2, 1)) {
      const torch::Tensor tokens = half.movedim(1, -1).contiguous();
      read.push_back((scale_ * tokens).to(x.scalar_type()) + block_->forward(tokens));
    }
    return norm_->run(torch::cat(read, -1).movedim(-1, 1), {Activation::leaky_relu, {}});
  }

 private:
  std::shared_ptr<Convolution> dw33_;
  std::shared_ptr<VssBlock2d> block_;
  std::shared_ptr<InstanceNorm> norm_;
  torch::Tensor scale_;
};

/// Gates each channel by what a convolution makes of means and maxima. Prefix "conv33", whose centre alone
/// meets them.
class MaxAvg : public Layer {
 public:
  explicit MaxAvg(int64_t channels)
      : conv33_(register_module("conv33", conv(2, 2 * channels, channels, 3))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor both = torch::cat({x.mean({2, 3}, true), x.amax({2, 3}, true)}, 1);
    return x * conv33_->run(both, {Activation::sigmoid, {}});
  }

 private:
  std::shared_ptr<Convolution> conv33_;
};

struct StageSettings {
  int64_t in = 16, out = 32;
  int64_t taps = 3;  ///< of the axial convolutions
  bool scans = true;
  int64_t states = 16;
};

/// A stage of the encoder: MambaSplit plus MaxAvg where it scans, axial convolutions, norm, ReLU, which is
/// the skip; 1x1, the largest of 2 x 2. Prefixes "mamba", "maxavg", "adw", "bn", "pw".
class EncoderStage : public Module, public GivesSeveral {
 public:
  explicit EncoderStage(const StageSettings& s) {
    if (s.scans) {
      mamba_ = register_module("mamba", std::make_shared<MambaSplit>(s.in, s.states));
      maxavg_ = register_module("maxavg", std::make_shared<MaxAvg>(s.in));
    }
    adw_ = register_module("adw", std::make_shared<AxialDepthwise>(s.in, s.taps));
    bn_ = register_module("bn", norm(s.in));
    pw_ = register_module("pw", conv(2, s.in, s.out, 1));
  }
  /// x (B, in, Y, X) -> (B, out, Y / 2, X / 2) and the skip (B, in, Y, X)
  std::vector<torch::Tensor> halved(const torch::Tensor& x) {
    const torch::Tensor mixed = mamba_ ? mamba_->forward(x) + maxavg_->forward(x) : x;
    const torch::Tensor skip = bn_->run(adw_->forward(mixed), {Activation::relu, {}});
    return {halved_by_max(pw_->forward(skip)), skip};
  }
  std::vector<torch::Tensor> outputs(const std::map<std::string, torch::Tensor>& inputs) override {
    return halved(inputs.at("x"));
  }

 private:
  std::shared_ptr<MambaSplit> mamba_;
  std::shared_ptr<MaxAvg> maxavg_;
  std::shared_ptr<AxialDepthwise> adw_;
  std::shared_ptr<BatchNorm> bn_;
  std::shared_ptr<Convolution> pw_;
};

/// Attention over channels (PCA), then over places (PSA), from how a convolution changes the means. Prefixes
/// "pca.dw", "psa.pw".
class Bottleneck : public Layer {
 public:
  Bottleneck(int64_t channels, bool batch_softmax)
      : batch_softmax_(batch_softmax),
        pca_(register_module("pca", std::make_shared<torch::nn::Module>())),
        psa_(register_module("psa", std::make_shared<torch::nn::Module>())),
        dw_(pca_->register_module("dw", depthwise(2, channels, 9))),
        pw_(psa_->register_module("pw", conv(2, channels, channels, 1))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor local = dw_->forward(x), means = local.mean({2, 3}, true);
    const torch::Tensor risen = (means - x.mean({2, 3}, true)).softmax(1);
    const torch::Tensor y = local * torch::sigmoid(means * (1 + risen));
    const torch::Tensor mixed = pw_->forward(y), places = mixed.mean({1}, true);
    // A softmax over one image is 1.
    const torch::Tensor share =
        batch_softmax_ ? (places - y.mean({1}, true)).softmax(0) : torch::ones_like(places);
    return mixed * torch::sigmoid(places * (1 + share));
  }

 private:
  bool batch_softmax_;
  std::shared_ptr<torch::nn::Module> pca_, psa_;
  std::shared_ptr<Convolution> dw_, pw_;
};

/// The skip, gated by the coarser features, beside the skip; 1x1, norm, ReLU, axial convolutions, 1x1. The
/// coarser features themselves go no further. Prefixes "att", "pw", "bn", "adw", "pw2".
class DecoderStage : public Module {
 public:
  DecoderStage(int64_t deep, int64_t skip, int64_t out)
      : att_(register_module("att", std::make_shared<AttentionGate>(deep, skip, skip))),
        pw_(register_module("pw", conv(2, 2 * skip, out, 1))),
        pw2_(register_module("pw2", conv(2, out, out, 1))),
        bn_(register_module("bn", norm(out))),
        adw_(register_module("adw", std::make_shared<AxialDepthwise>(out, 7))) {}
  torch::Tensor forward(const torch::Tensor& deep, const torch::Tensor& skip) {
    const torch::Tensor gated = att_->forward(nearest_upsampled(deep, {2, 2}), skip);
    const torch::Tensor y = normed(*pw_, *bn_, torch::cat({gated, skip}, 1), {Activation::relu, {}});
    return pw2_->forward(adw_->forward(y));
  }

 private:
  std::shared_ptr<AttentionGate> att_;
  std::shared_ptr<Convolution> pw_, pw2_;
  std::shared_ptr<BatchNorm> bn_;
  std::shared_ptr<AxialDepthwise> adw_;
};

class MambaULite : public Network {
 public:
  explicit MambaULite(const MambaULiteSettings& s) {
    const int64_t w = s.width;
    if (w % 2 != 0) throw UsageError(concat("width: expected an even number, got ", w));
    const auto encoder = [&](const char* name, int64_t in, int64_t out, bool scans) {
      return register_module(
          name, std::make_shared<EncoderStage>(StageSettings{in, out, scans ? 3 : 7, scans, s.states}));
    };
    pw_in_ = register_module("pw_in", conv(2, s.in_channels, w, 1));
    sk_in_ = register_module(
        "sk_in", std::make_shared<SelectiveKernel>(SelectiveKernelSettings{.channels = w, .groups = w}));
    fine_ = {encoder("e1", w, 2 * w, true), encoder("e2", 2 * w, 4 * w, true)};
    scans_ = {encoder("e3m", 2 * w, 4 * w, true), encoder("e4m", 4 * w, 8 * w, true)};
    axial_ = {encoder("e3a", 2 * w, 4 * w, false), encoder("e4a", 4 * w, 8 * w, false)};
    bottleneck_ = register_module("b5", std::make_shared<Bottleneck>(16 * w, s.batch_softmax));
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t skip = w << i;
      const std::string level = std::to_string(i + 1);
      skips_.push_back(register_module(
          "s" + level, std::make_shared<ConvBlockAttention>(ConvBlockAttentionSettings{.channels = skip})));
      decoder_.push_back(register_module("d" + level, std::make_shared<DecoderStage>(2 * skip, skip, skip)));
      heads_.push_back(register_module("pw" + level, conv(2, skip, s.classes, 1)));
    }
    conv_out_ = register_module("conv_out", conv(2, 4 * s.classes, s.classes, 1));
  }
  Extent size_multiples() const override { return cube(2, 16); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& input) override {
    torch::Tensor x = sk_in_->forward(pw_in_->forward(input));
    std::vector<torch::Tensor> skips;
    for (const auto& stage : fine_) {
      const std::vector<torch::Tensor> y = stage->halved(x);
      skips.push_back(y[1]);
      x = y[0];
    }
    std::vector<torch::Tensor> halves = x.chunk(2, 1);
    for (size_t i = 0; i < scans_.size(); ++i) {
      const std::vector<torch::Tensor> m = scans_[i]->halved(halves[0]), a = axial_[i]->halved(halves[1]);
      skips.push_back(torch::cat({m[1], a[1]}, 1));
      halves = {m[0], a[0]};
    }
    x = bottleneck_->forward(torch::cat(halves, 1));
    std::vector<torch::Tensor> maps;
    for (size_t i = skips.size(); i-- > 0;) {
      x = decoder_[i]->forward(x, skips_[i]->forward(skips[i]));
      maps.push_back(linear_resized(heads_[i]->forward(x), spatial_size(input)));
    }
    return {conv_out_->forward(torch::cat(maps, 1))};
  }

 private:
  std::shared_ptr<Convolution> pw_in_, conv_out_;
  std::shared_ptr<SelectiveKernel> sk_in_;
  std::vector<std::shared_ptr<EncoderStage>> fine_, scans_, axial_;  ///< finest first
  std::shared_ptr<Bottleneck> bottleneck_;
  std::vector<std::shared_ptr<ConvBlockAttention>> skips_;  ///< finest first
  std::vector<std::shared_ptr<DecoderStage>> decoder_;
  std::vector<std::shared_ptr<Convolution>> heads_;
};

Json official_settings(const Json&) {
  MambaULiteSettings s;
  s.batch_softmax = true;
  return to_json(s);
}

using Block = std::shared_ptr<torch::nn::Module>;

Block official_scan_stage(const Json& a) {
  return std::make_shared<EncoderStage>(StageSettings{.in = a.at("in_c"), .out = a.at("out_c")});
}
Block official_axial_stage(const Json& a) {
  return std::make_shared<EncoderStage>(
      StageSettings{.in = a.at("in_c"), .out = a.at("out_c"), .taps = 7, .scans = false});
}
Block official_kernel(const Json& a) {
  return std::make_shared<SelectiveKernel>(SelectiveKernelSettings{
      a.at("features"), 7, argument<int64_t>(a, "M", 2), a.at("G"), a.at("r"), a.at("L")});
}
Block official_cbam(const Json& a) {
  return std::make_shared<ConvBlockAttention>(ConvBlockAttentionSettings{.channels = a.at("gate_channels")});
}
Block official_bottleneck(const Json& a) { return std::make_shared<Bottleneck>(a.at("dim"), true); }
Block official_decoder(const Json& a) {
  return std::make_shared<DecoderStage>(a.at("in_c"), a.at("skip_c"), a.at("out_c"));
}
torch::Tensor run_decoder(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<DecoderStage&>(module).forward(inputs.at("x"), inputs.at("skip"));
}

constexpr const char* kRepository = "nqnguyen812/MambaU-Lite";

}  // namespace

NetworkEntry mambau_lite_entry() {
  return hybrid_entry<MambaULiteSettings>(
      {.name = "mambau_lite",
       .dims = {2},
       .source = "MambaU-Lite, 2024; github.com/nqnguyen812/MambaU-Lite",
       .summary = "0.4 million parameters: a selective kernel, scans beside axial convolutions, CBAM on the "
                  "skips, heads of four scales",
       .parameters = 416'488,
       .small = R"({"classes": 3, "width": 4, "states": 4})",
       .small_edge = 16,
       .official = {{kRepository, "ULite", official_settings, nullptr, ConvBlockAttention::our_name}},
       .blocks = {{kRepository, {"Encoder_Mamba"}, official_scan_stage},
                  {kRepository, {"Encoder_Axial"}, official_axial_stage},
                  {kRepository, {"SKConv_7"}, official_kernel},
                  {kRepository, {"CBAM"}, official_cbam, nullptr, ConvBlockAttention::our_name},
                  {kRepository, {"BottleneckPCAPSA"}, official_bottleneck},
                  {kRepository, {"DecoderBlock"}, official_decoder, run_decoder}}},
      [](const MambaULiteSettings& s) { return std::make_shared<MambaULite>(s); });
}

}  // namespace mambaseg
