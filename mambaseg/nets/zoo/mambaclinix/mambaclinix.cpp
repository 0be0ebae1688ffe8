// MambaClinix: Hierarchical Gated Convolution and Mamba-Based U-Net for Enhanced 3D Medical Image
// Segmentation (Bian et al. 2024), after its public code, whose module names it keeps: a residual U-Net in
// nnU-Net's frame with blocks of gates of ever higher order behind the fine stages and Mamba behind the
// coarse ones.
//
// The "gated" convolution of the published class adds its gates where HorNet, from which it comes, multiplies
// by them. Here they are multiplied unless `gates_add` says as published. Each of its Mamba layers has one
// number that nothing reads; kept where `unused` says so, files of weights load with and without.

#include <algorithm>

#include "mambaseg/nets/blocks/high_order_gate.h"
#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/blocks/map_norm.h"
#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/blocks/res_block.h"
#include "mambaseg/nets/blocks/unetr_blocks.h"
#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {
namespace {

constexpr double kEps = 1e-6;

struct MambaClinixSettings : UNetShape {
  std::vector<std::string> mixers;
  int64_t states = 16;
  double drop_path = 0.5;
  bool gates_add = false;
  bool unused = true;

  void describe(SettingsVisitor& visit) {
    UNetShape::describe(visit);
    visit("mixers", mixers,
          "what stands behind each encoder stage; empty: gates in the first half, Mamba in the second",
          one_of({"gates", "mamba"}));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("drop_path", drop_path,
          "training: chance that a branch behind the coarsest stage is left out for a sample; falls to 0 "
          "towards the finest",
          between(0, 1));
    visit("gates_add", gates_add, "gates are added, not multiplied by, as in the published code");
    visit("unused", unused, "keep the parameters of the official class that nothing reads");
  }
  bool is_gated(int64_t stage) const {
    return mixers.empty() ? stage < (stages() + 1) / 2 : mixers[static_cast<size_t>(stage)] == "gates";
  }
};

/// How the gates behind a stage are built.
struct GatedBlockSettings {
  int64_t width = 32;  ///< of the stage; half of it inside
  Extent kernel = {};
  int64_t order = 2;
  bool multiply = true;
  double drop_path = 0;
};

/// hgConv: gates of high order, which pass a depthwise convolution.
std::shared_ptr<HighOrderGate> gates(int64_t width, const Extent& kernel, int64_t order, bool multiply) {
  const HighOrderSettings s{.dims = static_cast<int64_t>(kernel.size()),
                            .width = width,
                            .order = order,
                            .multiply = multiply,
                            .between = "reconv",
                            .convolution = nnunet_convolution()};
  int64_t channels = 0;
  for (const int64_t of_gate : HighOrderGate::widths(s)) channels += of_gate;
  ConvolutionSettings each = nnunet_convolution();
  each.groups = channels;
  return std::make_shared<HighOrderGate>(
      s, std::make_shared<TokenConvolution>(channels, channels, kernel, each));
}

/// HGCN_BLOCK: u = conv1(x), u += path(scale * gates(norm(u))), x + path(conv(leaky(conv(norm(u))))). The
/// scale starts at 1e-6. Prefixes "transconv.conv", "gamma1", "lynorm1", "hgConvs", "lynorm2", "conv1.conv",
/// "conv2.conv".
class GatedBlock : public Layer {
 public:
  explicit GatedBlock(const GatedBlockSettings& s)
      : gamma1_(register_parameter("gamma1", torch::full({s.width / 2}, kEps))),
        gates_(register_module("hgConvs", gates(s.width / 2, s.kernel, s.order, s.multiply))),
        norm1_(register_module("lynorm1", std::make_shared<LayerNorm>(s.width / 2, kEps))),
        norm2_(register_module("lynorm2", std::make_shared<MapLayerNorm>(s.width / 2, kEps))),
        narrow_(wrapped("transconv", s.width, s.width / 2, Extent(s.kernel.size(), 1))),
        conv1_(wrapped("conv1", s.width / 2, s.width, s.kernel)),
        conv2_(wrapped("conv2", s.width, s.width, s.kernel)),
        path_(register_module("drop_path", std::make_shared<DropPath>(s.drop_path))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor u = narrow_->forward(x).movedim(1, -1);
    const torch::Tensor gated = gates_->forward(norm1_->forward(u));
    u = u + path_->forward((gamma1_ * gated).to(u.scalar_type()));
    const torch::Tensor y = leaky(conv1_->forward(norm2_->forward(u.movedim(-1, 1))));
    return x + path_->forward(conv2_->forward(y));
  }

 private:
  std::shared_ptr<Layer> wrapped(const char* name, int64_t in, int64_t out, const Extent& kernel) {
    return register_module(name, std::make_shared<MonaiConvolution>(
                                     std::make_shared<Convolution>(in, out, kernel, nnunet_convolution())));
  }
  torch::Tensor gamma1_;
  std::shared_ptr<HighOrderGate> gates_;
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<Layer> narrow_, conv1_, conv2_;
  std::shared_ptr<DropPath> path_;
};

/// x + linear(norm(Mamba(norm(x)))), the norm being the same. Prefixes "norm", "mamba", "proj", "skip_scale".
class ProjectedMamba : public Layer, public ComputesEntries {
 public:
  ProjectedMamba(const MambaSettings& mamba, bool unused)
      : norm_(register_module("norm", std::make_shared<LayerNorm>(mamba.width))),
        mamba_(register_module("mamba", std::make_shared<Mamba>(mamba))),
        proj_(register_module("proj", std::make_shared<Linear>(mamba.width, mamba.width))) {
    if (unused) register_parameter(kUnused, torch::ones({1}));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor tokens = norm_->forward(x.movedim(1, -1));
    return x + proj_->forward(norm_->forward(mamba_->forward(tokens))).movedim(-1, 1);
  }
  bool check_computed(const std::string& name, const torch::Tensor&) const override {
    return name == kUnused;
  }

 private:
  static constexpr const char* kUnused = "skip_scale";
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Mamba> mamba_;
  std::shared_ptr<Linear> proj_;
};

class MambaClinix : public Network {
 public:
  explicit MambaClinix(const MambaClinixSettings& s);
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  MambaClinixSettings settings_;
  std::shared_ptr<ResidualEncoder> encoder_;
  std::vector<std::shared_ptr<Layer>> mixers_;  ///< of the encoder, full resolution first
  std::shared_ptr<MapLayerNorm> norm_;          ///< before the last gates; null without gates
  size_t normed_stage_ = 0;
  std::shared_ptr<BasicBlockD> deepest_;
  std::vector<std::shared_ptr<Layer>> grow_, skips_, joined_, heads_;  ///< coarsest first
};

MambaClinix::MambaClinix(const MambaClinixSettings& s) : settings_(s) {
  s.check();
  if (!s.mixers.empty() && static_cast<int64_t>(s.mixers.size()) != s.stages())
    throw UsageError(concat("mixers: expected ", s.stages(), " words, one a stage, got ", s.mixers.size()));
  const std::vector<double> chances = rising_drop_path(s.stages(), s.drop_path);
  const Extent still = cube(s.dimension, 1);
  for (int64_t stage = 0; stage < s.stages(); ++stage) {
    const auto i = static_cast<size_t>(stage);
    const int64_t width = s.features[i];
    if (s.is_gated(stage)) {
      mixers_.push_back(std::make_shared<GatedBlock>(
          GatedBlockSettings{width, s.kernel(stage), stage + 2, !s.gates_add, chances[i]}));
      norm_ = std::make_shared<MapLayerNorm>(width, kEps);
      normed_stage_ = i;
    } else {
      mixers_.push_back(std::make_shared<ProjectedMamba>(
          MambaSettings{.width = width, .states = s.states, .dims = s.dimension}, s.unused));
    }
  }
  encoder_ = register_module("encoder", std::make_shared<ResidualEncoder>(s, std::vector<int64_t>{1}));
  torch::nn::Module& encoder = *encoder_;
  if (norm_) encoder.register_module("LayerNorm", norm_);
  register_list(encoder, "encoder_layers", mixers_);
  const int64_t last = s.features.back();
  deepest_ = std::make_shared<BasicBlockD>(last, last, s.kernel(s.stages() - 1), still);
  for (int64_t below = s.stages() - 1; below > 0; --below) {
    const int64_t out = s.features[static_cast<size_t>(below - 1)];
    const Extent kernel = s.kernel(below - 1);
    grow_.push_back(
        std::make_shared<NearestGrowth>(s.features[static_cast<size_t>(below)], out, s.stride(below)));
    skips_.push_back(std::make_shared<BasicBlockD>(out, out, kernel, still));
    joined_.push_back(std::make_shared<ResBlock>(2 * out, out, kernel, still));
    heads_.push_back(nnunet_pointwise(s.dimension, out, s.classes));
  }
  const auto decoder = register_module("decoder", std::make_shared<torch::nn::Module>());
  decoder->register_module("Init_Residual", deepest_);
  register_list(*decoder, "residual_blocks", skips_);
  register_list(*decoder, "stages", joined_);
  register_list(*decoder, "upsample_layers", grow_);
  register_list(*decoder, "seg_layers", heads_);
}

std::vector<torch::Tensor> MambaClinix::scores(const torch::Tensor& image) {
  const auto mixed = [&](size_t stage, const torch::Tensor& x) {
    return mixers_[stage]->forward(norm_ && stage == normed_stage_ ? norm_->forward(x) : x);
  };
  const std::vector<torch::Tensor> kept = encoder_->forward(image, mixed);
  const bool all = wants_all_scales() && settings_.deep_supervision;
  std::vector<torch::Tensor> scores;
  torch::Tensor x = deepest_->forward(kept.back());
  for (size_t i = 0; i < grow_.size(); ++i) {
    const torch::Tensor skip = skips_[i]->forward(kept[kept.size() - 2 - i]);
    x = joined_[i]->forward(torch::cat({grow_[i]->forward(x), skip}, 1));
    if (all || i + 1 == grow_.size()) scores.push_back(heads_[i]->forward(x));
  }
  std::reverse(scores.begin(), scores.end());
  return scores;
}

/// Stages whose entry of n_conv_per_stage is 2 have gates; those of the second half have Mamba whatever it
/// is.
Json official_settings(const Json& a) {
  MambaClinixSettings s;
  read_shape(a, s);
  const std::vector<int64_t> counts =
      per_stage(stage_numbers(a, "n_conv_per_stage"), s.stages(), "n_conv_per_stage");
  for (int64_t stage = 0; stage < s.stages(); ++stage)
    s.mixers.push_back(stage < (s.stages() + 1) / 2 && counts[static_cast<size_t>(stage)] == 2 ? "gates"
                                                                                               : "mamba");
  s.gates_add = true;
  return to_json(s);
}

std::string our_name(const std::string& official) {
  std::string name = nnunet_name(official);
  for (const auto& [theirs, ours] : {std::pair(".gamma", ".weight"), std::pair(".beta", ".bias")})
    if (name.ends_with(theirs)) name.replace(name.rfind('.'), std::string::npos, ours);
  return name;
}

using Block = std::shared_ptr<torch::nn::Module>;

Block official_gates(const Json& a) {
  return gates(a.at("input_channels"), cube(3, a.at("kernel_size")), a.at("order"), false);
}

/// The official class takes maps.
torch::Tensor run_gates(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<Layer&>(module).forward(inputs.at("x").movedim(1, -1)).movedim(-1, 1);
}

Block official_block(const Json& a) {
  return std::make_shared<GatedBlock>(
      GatedBlockSettings{a.at("input_channels"), cube(3, a.at("kernel_size")), a.at("order"), false});
}

Block official_mamba_layer(const Json& a) {
  MambaSettings s{.width = a.at("input_dim"), .dims = 3};
  s.states = argument(a, "d_state", s.states);
  s.conv_kernel = argument(a, "d_conv", s.conv_kernel);
  s.expand = argument(a, "expand", s.expand);
  return std::make_shared<ProjectedMamba>(s, false);
}

constexpr const char* kRepository = "CYB08/MambaClinix-PyTorch";

}  // namespace

NetworkEntry mambaclinix_entry() {
  return hybrid_entry<MambaClinixSettings>(
      {.name = "mambaclinix",
       .dims = {3, 2},
       .source =
           "Bian et al.: MambaClinix: Hierarchical Gated Convolution and Mamba-Based U-Net for Enhanced 3D "
           "Medical Image Segmentation, 2024; github.com/CYB08/MambaClinix-PyTorch",
       .summary =
           "residual U-Net with gates of high order behind the fine stages, Mamba behind the coarse ones",
       .parameters = 48'874'189,
       .small = R"({"classes": 3, "features": [8, 16, 16], "states": 2, "drop_path": 0.0, "unused": false})",
       .small_edge = 8,
       .official = {{kRepository, "MambaClinix", official_settings, nullptr, our_name}},
       .blocks = {{kRepository, {"hgConv"}, official_gates, run_gates},
                  {kRepository, {"HGCN_BLOCK"}, official_block, nullptr, our_name},
                  {kRepository, {"MambaLayer"}, official_mamba_layer}}},
      [](const MambaClinixSettings& s) { return std::make_shared<MambaClinix>(s); });
}

}  // namespace mambaseg
