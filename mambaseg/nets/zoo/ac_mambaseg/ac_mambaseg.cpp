// AC-MambaSeg: An Adaptive Convolution and Mamba-based Architecture for Enhanced Skin Lesion Segmentation
// (2024), after its public code, whose module names it keeps (the published file lacks one import): a U-Net
// of five scales of selective scans, from full resolution on, selective kernels in front and at the bottom,
// CBAM on the skips and additive gates behind it. By the authors of MambaU-Lite.

#include <algorithm>

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

constexpr int64_t kScales = 5;
constexpr double kScanNormEps = 1e-6;

struct AcMambaSegSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  int64_t width = 16;
  int64_t states = 16;
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("width", width, "channels in front; the five scales have 2, 4, 8, 16 and 32 times as many",
          at_least(1));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
  }
};

/// Depthwise convolution, VSS block, instance norm, leaky ReLU, plus the input, scaled. Prefixes "conv",
/// "block", "ins_norm", "scale".
class ResMamba : public Layer {
 public:
  explicit ResMamba(int64_t channels, int64_t states = 16)
      : conv_(register_module("conv", depthwise(2, channels, 3))),
        block_(register_module(
            "block", std::make_shared<VssBlock2d>(Ss2dSettings{.width = channels, .states = states}, 0,
                                                  kScanNormEps))),
        norm_(register_module("ins_norm", std::make_shared<InstanceNorm>(channels))),
        scale_(register_parameter("scale", torch::ones({1}))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor tokens = conv_->forward(x).movedim(1, -1).contiguous();
    const torch::Tensor read = block_->forward(tokens).movedim(-1, 1);
    return norm_->run(read, {Activation::leaky_relu, {}}) + (scale_ * x).to(x.scalar_type());
  }

 private:
  std::shared_ptr<Convolution> conv_;
  std::shared_ptr<VssBlock2d> block_;
  std::shared_ptr<InstanceNorm> norm_;
  torch::Tensor scale_;
};

/// Scan block, convolution, norm, ReLU, which is the skip; the largest of 2 x 2. Prefixes "resmamba", "pw",
/// "bn".
class EncoderStage : public Module, public GivesSeveral {
 public:
  EncoderStage(int64_t in, int64_t out, int64_t states = 16)
      : resmamba_(register_module("resmamba", std::make_shared<ResMamba>(in, states))),
        pw_(register_module("pw", conv(2, in, out, 3))),
        bn_(register_module("bn", std::make_shared<BatchNorm>(out))) {}
  /// x (B, in, Y, X) -> (B, out, Y / 2, X / 2) and the skip (B, out, Y, X)
  std::vector<torch::Tensor> halved(const torch::Tensor& x) {
    const torch::Tensor skip = normed(*pw_, *bn_, resmamba_->forward(x), {Activation::relu, {}});
    return {halved_by_max(skip), skip};
  }
  std::vector<torch::Tensor> outputs(const std::map<std::string, torch::Tensor>& inputs) override {
    return halved(inputs.at("x"));
  }

 private:
  std::shared_ptr<ResMamba> resmamba_;
  std::shared_ptr<Convolution> pw_;
  std::shared_ptr<BatchNorm> bn_;
};

/// The features, doubled, beside the skip that they gate; convolution, norm, ReLU, scan block. Prefixes
/// "att", "conv2", "bn2", "resmamba".
class DecoderStage : public Module {
 public:
  DecoderStage(int64_t deep, int64_t skip, int64_t out, int64_t states = 16)
      : att_(register_module("att", std::make_shared<AttentionGate>(deep, skip, skip / 2))),
        conv2_(register_module("conv2", conv(2, deep + skip, out, 3))),
        bn2_(register_module("bn2", std::make_shared<BatchNorm>(out))),
        resmamba_(register_module("resmamba", std::make_shared<ResMamba>(out, states))) {}
  torch::Tensor forward(const torch::Tensor& deep, const torch::Tensor& skip) {
    const torch::Tensor grown = nearest_upsampled(deep, {2, 2});
    const torch::Tensor both = torch::cat({grown, att_->forward(grown, skip)}, 1);
    return resmamba_->forward(normed(*conv2_, *bn2_, both, {Activation::relu, {}}));
  }

 private:
  std::shared_ptr<AttentionGate> att_;
  std::shared_ptr<Convolution> conv2_;
  std::shared_ptr<BatchNorm> bn2_;
  std::shared_ptr<ResMamba> resmamba_;
};

class AcMambaSeg : public Network {
 public:
  explicit AcMambaSeg(const AcMambaSegSettings& s) {
    const int64_t w = s.width, deepest = w << kScales;
    pw_in_ = register_module("pw_in", conv(2, s.in_channels, w, 1));
    sk_in_ = register_module(
        "sk_in", std::make_shared<SelectiveKernel>(SelectiveKernelSettings{.channels = w, .groups = w}));
    for (int64_t i = 0; i < kScales; ++i) {
      const std::string level = std::to_string(i + 1);
      const int64_t in = w << i, skip = 2 * in;
      encoder_.push_back(register_module("e" + level, std::make_shared<EncoderStage>(in, skip, s.states)));
      skips_.push_back(register_module(
          "s" + level, std::make_shared<ConvBlockAttention>(ConvBlockAttentionSettings{.channels = skip})));
      decoder_.push_back(
          register_module("d" + level, std::make_shared<DecoderStage>(skip, skip, in, s.states)));
    }
    bottleneck_ = register_module(
        "b5", std::make_shared<SelectiveKernelUnit>(SelectiveKernelSettings{
                  .channels = deepest, .edge = 3, .groups = std::min<int64_t>(16, deepest), .reduction = 2}));
    conv_out_ = register_module("conv_out", conv(2, w, s.classes, 1));
  }
  Extent size_multiples() const override { return cube(2, int64_t{1} << kScales); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& input) override {
    torch::Tensor x = sk_in_->forward(pw_in_->forward(input));
    std::vector<torch::Tensor> skips;
    for (size_t i = 0; i < encoder_.size(); ++i) {
      const std::vector<torch::Tensor> y = encoder_[i]->halved(x);
      skips.push_back(skips_[i]->forward(y[1]));
      x = y[0];
    }
    x = bottleneck_->forward(x);
    for (size_t i = decoder_.size(); i-- > 0;) x = decoder_[i]->forward(x, skips[i]);
    return {conv_out_->forward(x)};
  }

 private:
  std::shared_ptr<Convolution> pw_in_, conv_out_;
  std::shared_ptr<SelectiveKernel> sk_in_;
  std::shared_ptr<SelectiveKernelUnit> bottleneck_;
  std::vector<std::shared_ptr<EncoderStage>> encoder_;  ///< finest first
  std::vector<std::shared_ptr<ConvBlockAttention>> skips_;
  std::vector<std::shared_ptr<DecoderStage>> decoder_;
};

Json official_settings(const Json&) { return to_json(AcMambaSegSettings{}); }

using Block = std::shared_ptr<torch::nn::Module>;

Block official_encoder(const Json& a) { return std::make_shared<EncoderStage>(a.at("in_c"), a.at("out_c")); }
Block official_decoder(const Json& a) {
  return std::make_shared<DecoderStage>(a.at("in_c"), a.at("skip_c"), a.at("out_c"));
}
torch::Tensor run_decoder(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<DecoderStage&>(module).forward(inputs.at("x"), inputs.at("skip"));
}
Block official_scan(const Json& a) { return std::make_shared<ResMamba>(a.at("in_c").get<int64_t>()); }
Block official_unit(const Json& a) {
  return std::make_shared<SelectiveKernelUnit>(SelectiveKernelSettings{
      a.at("in_features"), 3, argument<int64_t>(a, "M", 2), a.at("G"), a.at("r"), a.at("L")});
}

constexpr const char* kRepository = "vietthanh2710/AC-MambaSeg";

}  // namespace

NetworkEntry ac_mambaseg_entry() {
  return hybrid_entry<AcMambaSegSettings>(
      {.name = "ac_mambaseg",
       .dims = {2},
       .source = "AC-MambaSeg: An Adaptive Convolution and Mamba-based Architecture for Enhanced Skin Lesion "
                 "Segmentation, 2024; github.com/vietthanh2710/AC-MambaSeg",
       .summary = "U-Net of selective scans from full resolution on, with selective kernels, CBAM and gates",
       .parameters = 7'994'364,
       .small = R"({"classes": 3, "width": 8, "states": 2})",
       .small_edge = 32,
       .official = {{kRepository, "AC_MambaSeg", official_settings, nullptr, ConvBlockAttention::our_name}},
       .blocks = {{kRepository, {"EncoderBlock"}, official_encoder},
                  {kRepository, {"DecoderBlock"}, official_decoder, run_decoder},
                  {kRepository, {"ResMambaBlock"}, official_scan},
                  {kRepository, {"SKUnit"}, official_unit}}},
      [](const AcMambaSegSettings& s) { return std::make_shared<AcMambaSeg>(s); });
}

}  // namespace mambaseg
