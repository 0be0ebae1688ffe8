// SCFMUNet (2025), after its public code, whose module names it keeps: VM-UNet whose bottleneck is replaced
// by gates. What leaves the encoder and what enters its finer stages, brought to the coarsest grid, goes
// through one selective scan; the mean of the sigmoids of the results is all that the decoder gets of them.
// Skips are gated by channel (GCT), put behind the features, gated by channel and place (SCCSA), and
// projected back. Unlike there, forward returns scores before the sigmoid, pictures need not be square, and
// the widths are a setting. A second scan (of seven channels), which the authors call the one over channels,
// is never read there; it is kept where `unused` says so, which files of its weights need.

#include <algorithm>
#include <numeric>

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {
namespace {

constexpr double kEps = 1e-5;
constexpr int64_t kWalks = 4;

struct ScfmUnetSettings : VssEncoderSettings {
  int64_t classes = 1;
  std::vector<int64_t> decoder_depths{2, 2, 2, 2};
  bool unused = true;

  ScfmUnetSettings() { grey_as_three = true; }
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels; one (grey) is repeated to three", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    VssEncoderSettings::describe(visit);
    visit("decoder_depths", decoder_depths, "blocks in the decoder's stages, coarsest first", at_least(0));
    visit("unused", unused,
          "keep the parameters that no score depends on; the official files of weights hold them");
  }
};

torch::Tensor maps_of(const torch::Tensor& x_BYXC) { return x_BYXC.movedim(-1, 1); }
torch::Tensor tokens_of(const torch::Tensor& x_BCYX) { return x_BCYX.movedim(1, -1).contiguous(); }

/// The scans of SS2D without what stands around them, of `channels` that come out of `width`.
class BareScan : public Module, public GivesSeveral {
 public:
  BareScan(int64_t channels, int64_t width, int64_t states) : chosen_(chosen_orders(2)) {
    const int64_t rank = (width + 15) / 16, walks = chosen_ ? chosen_->walks() : kWalks;
    twin_ = scan_twin(*this, "twin", {2, channels, rank, states, walks});
    if (!twin_) scan_ = {*this, channels, rank, states, walks};
  }
  /// x (B, Y, X, channels) -> the same sizes, fp32
  torch::Tensor forward(const torch::Tensor& x) {
    if (twin_) return twin_->forward(x);
    return selective_scan(project_scan_inputs(x.flatten(1, 2), scan_.weights()), walks(x).get()).view_as(x);
  }
  /// x (B, channels, Y, X) -> the walks apart: rows, rows backwards, columns, columns backwards, (B,
  /// channels, Y * X)
  std::vector<torch::Tensor> outputs(const std::map<std::string, torch::Tensor>& inputs) override {
    const torch::Tensor& x = inputs.at("x");
    const torch::Tensor tokens = tokens_of(x);
    std::vector<torch::Tensor> out;
    for (const int64_t k : {0, 2, 1, 3}) {
      const ScanTables walk = walks(tokens)->only(k);
      const SelectiveScanInputs inputs = project_scan_inputs(tokens.flatten(1, 2), scan_.weights_of(k));
      out.push_back(selective_scan(inputs, &walk).transpose(1, 2));
    }
    return out;
  }

 private:
  std::shared_ptr<const ScanTables> walks(const torch::Tensor& x) {
    const TokenGrid grid{1, x.size(1), x.size(2)};
    return walks_.get(grid, x.device(), [&] {
      return make_scan_tables(chosen_ ? chosen_->over(grid) : cross_orders(grid), x.device());
    });
  }
  std::optional<NamedOrders> chosen_;
  ScanParameters scan_;
  RecentGrids<ScanTables> walks_;
  std::shared_ptr<ScanTwin> twin_;  ///< in place of the two before
};

/// Convolutions that halve the grid until it is the coarsest, then 1x1 to its channels. Prefixes "conv1",
/// ..., "conv1x1".
class Descent : public Module {
 public:
  /// From scale `from` of `widths`.
  Descent(const std::vector<int64_t>& widths, size_t from) {
    int64_t in = widths[from];
    for (size_t i = from; i + 1 < widths.size(); ++i) {
      convs_.push_back(register_module("conv" + std::to_string(i - from + 1),
                                       conv(2, in, widths[i], 3, {.stride = {2, 2}})));
      in = widths[i];
    }
    last_ = register_module("conv1x1", conv(2, in, widths.back(), 1));
  }
  /// x (B, Y, X, widths[from]) -> (B, coarsest sizes..., widths.back())
  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = maps_of(x);
    for (const auto& halving : convs_) y = halving->forward(y);
    return tokens_of(last_->forward(y));
  }

 private:
  std::vector<std::shared_ptr<Convolution>> convs_;
  std::shared_ptr<Convolution> last_;
};

/// The mean over all scales of sigmoid(norm(scan(x))). Prefixes "ssm1", "ssm2", "down1", ..., "norm".
class FusMamba : public Module {
 public:
  explicit FusMamba(const ScfmUnetSettings& s) {
    const int64_t width = s.widths.back();
    scan_ = register_module("ssm1", std::make_shared<BareScan>(width, width / 2, s.states));
    if (s.unused) register_module("ssm2", std::make_shared<BareScan>(7, 4, s.states));
    norm_ = register_module("norm", std::make_shared<LayerNorm>(width));
    for (size_t i = 0; i + 1 < s.widths.size(); ++i)
      down_.push_back(
          register_module("down" + std::to_string(i + 1), std::make_shared<Descent>(s.widths, i)));
  }
  /// What leaves the encoder and what enters its stages, finest first -> as what leaves it
  torch::Tensor forward(const torch::Tensor& x, const std::vector<torch::Tensor>& entering) {
    torch::Tensor sum = gate(x);
    for (size_t i = 0; i < down_.size(); ++i) sum = sum + gate(down_[i]->forward(entering[i]));
    return sum / static_cast<double>(down_.size() + 1);
  }

 private:
  torch::Tensor gate(const torch::Tensor& x) {
    return torch::sigmoid(norm_->forward(scan_->forward(x).to(x.scalar_type())));
  }
  std::shared_ptr<BareScan> scan_;
  std::shared_ptr<LayerNorm> norm_;
  std::vector<std::shared_ptr<Descent>> down_;  ///< finest first
};

/// Gated channel transformation (Yang et al. 2020): channels compete by their norms over the plane. Starts as
/// the identity. Parameters "alpha", "gamma", "beta".
class ChannelTransformation : public Layer {
 public:
  explicit ChannelTransformation(int64_t channels)
      : alpha_(register_parameter("alpha", torch::ones({1, channels, 1, 1}))),
        gamma_(register_parameter("gamma", torch::zeros({1, channels, 1, 1}))),
        beta_(register_parameter("beta", torch::zeros({1, channels, 1, 1}))) {}
  /// x (B, Y, X, channels) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BYXC) override {
    const auto row = [](const torch::Tensor& parameter) { return parameter.view({1, 1, 1, -1}); };
    const torch::Tensor x = x_BYXC.to(alpha_.scalar_type());
    const torch::Tensor size = row(alpha_) * (x.square().sum({1, 2}, true) + kEps).sqrt();
    const torch::Tensor ours = row(gamma_) / (size.square().mean({-1}, true) + kEps).sqrt();
    return (x * (1 + torch::tanh(size * ours + row(beta_)))).to(x_BYXC.scalar_type());
  }

 private:
  torch::Tensor alpha_, gamma_, beta_;
};

/// x times what an MLP makes of each place's channels (without a sigmoid, as published), then times a map for
/// each channel from two convolutions 7x7. Prefixes "channel_attention", "spatial_attention".
class ChannelSpatialAttention : public Layer {
 public:
  explicit ChannelSpatialAttention(int64_t channels) {
    const int64_t inner = std::max<int64_t>(1, channels / 4);
    channel_ =
        register_module("channel_attention", sequence({std::make_shared<Linear>(channels, inner), relu(),
                                                       std::make_shared<Linear>(inner, channels)}));
    spatial_ =
        register_module("spatial_attention",
                        sequence({conv(2, channels, inner, 7), std::make_shared<BatchNorm>(inner), relu(),
                                  conv(2, inner, channels, 7), std::make_shared<BatchNorm>(channels),
                                  activation(Activation::sigmoid)}));
  }
  /// x (B, channels, Y, X) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor y = x * maps_of(channel_->forward(tokens_of(x)));
    return y * spatial_->forward(y);
  }

 private:
  std::shared_ptr<Sequence> channel_, spatial_;
};

class ScfmUnet : public Network {
 public:
  explicit ScfmUnet(const ScfmUnetSettings& s);
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  ScfmUnetSettings settings_;
  std::shared_ptr<VssEncoder> encoder_;
  std::shared_ptr<FusMamba> fusion_;
  std::vector<std::shared_ptr<VssStage>> decoder_;  ///< coarsest first, as the others
  std::vector<std::shared_ptr<ChannelTransformation>> gct_;
  std::vector<std::shared_ptr<ChannelSpatialAttention>> sccsa_;
  std::vector<std::shared_ptr<Linear>> fc_;
  std::shared_ptr<PatchExpand2d> final_up_;
  std::shared_ptr<Convolution> final_conv_;
};

ScfmUnet::ScfmUnet(const ScfmUnetSettings& s) : settings_(s) {
  const auto& w = s.widths;
  if (s.decoder_depths.size() != w.size())
    throw UsageError(
        concat("decoder_depths: expected one number a scale, ", w.size(), ", got ", s.decoder_depths.size()));
  // The official class keeps the whole network in a member of this name.
  encoder_ = register_module("scfmunet", std::make_shared<VssEncoder>(s));
  torch::nn::Module& body = *encoder_;
  const int64_t blocks = std::accumulate(s.decoder_depths.begin(), s.decoder_depths.end(), int64_t{0});
  std::vector<double> falling = rising_drop_path(blocks, s.drop_path);
  std::reverse(falling.begin(), falling.end());
  const auto chances = by_scale(falling, s.decoder_depths);
  for (size_t i = 0; i < w.size(); ++i) {
    decoder_.push_back(std::make_shared<VssStage>(w[w.size() - 1 - i], s.states, chances[i]));
    if (i > 0) decoder_[i]->double_before();
  }
  register_list(body, "layers_up", decoder_);
  final_up_ = body.register_module("final_up", std::make_shared<PatchExpand2d>(w[0], s.patch));
  final_conv_ = body.register_module("final_conv", conv(2, w[0] / s.patch, s.classes, 1));
  fusion_ = body.register_module("fusmamba", std::make_shared<FusMamba>(s));
  for (size_t i = 1; i < w.size(); ++i) {
    const int64_t width = w[w.size() - i];
    const std::string number = std::to_string(i);
    gct_.push_back(body.register_module("gct" + number, std::make_shared<ChannelTransformation>(width)));
    sccsa_.push_back(
        body.register_module("sccsa" + number, std::make_shared<ChannelSpatialAttention>(2 * width)));
  }
  start_as_vmamba(*this);
  for (size_t i = 1; i < w.size(); ++i) {  // later: they start as PyTorch's do
    const int64_t width = w[w.size() - i];
    fc_.push_back(body.register_module("fc" + std::to_string(i), std::make_shared<Linear>(2 * width, width)));
  }
}

std::vector<torch::Tensor> ScfmUnet::scores(const torch::Tensor& input) {
  const std::vector<torch::Tensor> skips = encoder_->entering(input);  // the last one leaves
  torch::Tensor x = decoder_[0]->forward(fusion_->forward(skips.back(), skips));
  for (size_t i = 1; i < decoder_.size(); ++i) {
    const torch::Tensor skip = gct_[i - 1]->forward(skips[decoder_.size() - i]);
    const torch::Tensor both = sccsa_[i - 1]->forward(maps_of(torch::cat({x, skip}, -1)));
    x = decoder_[i]->forward(fc_[i - 1]->forward(tokens_of(both)));
  }
  return {final_conv_->forward(final_up_->forward(x).permute({0, 3, 1, 2}).contiguous())};
}

Json official_settings(const Json& a) {
  ScfmUnetSettings s;
  s.in_channels = argument<int64_t>(a, "input_channels", 3);
  s.classes = argument<int64_t>(a, "num_classes", 1);
  s.depths = argument(a, "depths", s.depths);
  s.decoder_depths = argument(a, "depths_decoder", s.decoder_depths);
  s.drop_path = argument(a, "drop_path_rate", s.drop_path);
  return to_json(s);
}

/// The official class does so where there is one class.
torch::Tensor sigmoid_of_one(const torch::Tensor& scores) {
  return scores.size(1) == 1 ? scores.sigmoid() : scores;
}

using Block = std::shared_ptr<torch::nn::Module>;

Block official_fusion(const Json& a) {
  ScfmUnetSettings s;
  for (size_t i = 0; i < s.widths.size(); ++i)
    s.widths[s.widths.size() - 1 - i] = argument<int64_t>(a, "dim", 768) >> i;
  return std::make_shared<FusMamba>(s);
}
torch::Tensor run_fusion(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<FusMamba&>(module).forward(inputs.at("x"),
                                                 {inputs.at("s0"), inputs.at("s1"), inputs.at("s2")});
}
Block official_scan(const Json& a) {
  const int64_t width = a.at("d_model");
  return std::make_shared<BareScan>(argument<int64_t>(a, "expand", 2) * width, width,
                                    argument<int64_t>(a, "d_state", 16));
}
Block official_gct(const Json& a) {
  return std::make_shared<ChannelTransformation>(a.at("num_channels").get<int64_t>());
}
Block official_attention(const Json& a) {
  return std::make_shared<ChannelSpatialAttention>(a.at("in_channels").get<int64_t>());
}

constexpr const char* kRepository = "zzzeed/SCFMUNet";

}  // namespace

NetworkEntry scfmunet_entry() {
  return hybrid_entry<ScfmUnetSettings>(
      {.name = "scfmunet",
       .dims = {2},
       .source = "SCFMUNet, 2025; github.com/zzzeed/SCFMUNet",
       .summary = "VM-UNet whose bottleneck is gates from scans of all scales, attention over channels and "
                  "places on the skips",
       .parameters = 110'942'009,
       .small = R"({"classes": 3, "widths": [8, 16, 32, 64], "depths": [1, 1, 1, 1], "states": 4,
                    "drop_path": 0.0, "decoder_depths": [1, 1, 1, 1], "unused": false})",
       .small_edge = 32,
       .official = {{kRepository, "SCFMUNet", official_settings, sigmoid_of_one}},
       .blocks = {{kRepository, {"FusMamba"}, official_fusion, run_fusion},
                  {kRepository, {"SS2D_ (forward_corev0)"}, official_scan},
                  {kRepository, {"GCT"}, official_gct},
                  {kRepository, {"SCCSA"}, official_attention}}},
      [](const ScfmUnetSettings& s) { return std::make_shared<ScfmUnet>(s); });
}

}  // namespace mambaseg
