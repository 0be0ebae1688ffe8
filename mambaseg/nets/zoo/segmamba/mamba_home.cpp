// Mamba Goes HoME: Hierarchical Soft Mixture-of-Experts for 3D Medical Image Segmentation (Plotka et al.
// 2025), after its public code, whose module names it keeps: SegMamba's frame with plain Mamba and, in turn,
// two-level soft mixtures of experts on the tokens, a learnt tanh in place of their norms, and no MLP on the
// skips. The published constructor fails on two arguments; without them it is this network.

#include "mambaseg/nets/blocks/segmamba_blocks.h"
#include "mambaseg/nets/blocks/soft_moe.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

constexpr double kAlpha = 0.5, kLeastAlpha = 0.1, kMostAlpha = 2;

struct MambaHomeSettings {
  int64_t in_channels = 1;
  int64_t classes = 13;
  std::vector<int64_t> widths{48, 96, 192, 384};
  int64_t bottleneck_width = 768;
  std::vector<int64_t> depths{2, 2, 2, 2};
  std::vector<int64_t> experts{4, 8, 12, 16};
  std::vector<int64_t> second_experts{8, 16, 24, 32};
  std::vector<int64_t> groups{2048, 1024, 512, 256};
  int64_t slots = 4;
  double expansion = 2;
  bool gated_experts = true;
  double dropout = 0;
  int64_t states = 16;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("widths", widths, "channels of the encoder's scales, 1/2 of the resolution first", at_least(1));
    visit("bottleneck_width", bottleneck_width, "channels of the coarsest scale in the decoder", at_least(1));
    visit("depths", depths, "Mamba layers of each scale, and as many mixtures of experts", at_least(0));
    visit("experts", experts, "experts of the mixtures' first level at each scale", at_least(1));
    visit("second_experts", second_experts, "experts of their second level", at_least(1));
    visit("groups", groups, "tokens that go together in the first level at each scale", at_least(1));
    visit("slots", slots, "slots of an expert of the first level", at_least(1));
    visit("expansion", expansion, "inner channels of an expert / width", at_least(0.5));
    visit("gated_experts", gated_experts, "experts are GEGLU of 2/3 of the inner channels, else GELU");
    visit("dropout", dropout, "training: in the experts", between(0, 1));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
  }
};

/// weight * tanh(alpha * x) + bias, alpha within 0.1 and 2 (dynamic tanh, Zhu et al. 2025). Parameters
/// "alpha", "weight", "bias".
class DynamicTanh : public Layer {
 public:
  explicit DynamicTanh(int64_t width)
      : alpha_(register_parameter("alpha", torch::full({1}, kAlpha))),
        weight_(register_parameter("weight", torch::ones({width}))),
        bias_(register_parameter("bias", torch::zeros({width}))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return (weight_ * torch::tanh(alpha_.clamp(kLeastAlpha, kMostAlpha) * x) + bias_).to(x.scalar_type());
  }

 private:
  torch::Tensor alpha_, weight_, bias_;
};

/// Mamba(tanh(x)). Prefixes "norm", "mamba".
class TanhMamba : public Layer {
 public:
  explicit TanhMamba(const MambaSettings& mamba)
      : norm_(register_module("norm", std::make_shared<DynamicTanh>(mamba.width))),
        mamba_(register_module("mamba", std::make_shared<Mamba>(mamba))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return mamba_->forward(norm_->forward(x)); }

 private:
  std::shared_ptr<DynamicTanh> norm_;
  std::shared_ptr<Mamba> mamba_;
};

/// A mixture of experts under the prefix "mlp".
class ExpertLayer : public Layer {
 public:
  explicit ExpertLayer(const HierarchicalMoeSettings& s)
      : mixture_(register_module("mlp", std::make_shared<HierarchicalMixture>(s))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return mixture_->forward(x); }

 private:
  std::shared_ptr<HierarchicalMixture> mixture_;
};

class MambaHome : public Network {
 public:
  explicit MambaHome(const MambaHomeSettings& s);
  Extent size_multiples() const override { return cube(3, int64_t{1} << shrink_.size()); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  /// What a scale does with its tokens, in turn.
  struct TokenLayers {
    std::vector<std::shared_ptr<TanhMamba>> mamba;
    std::vector<std::shared_ptr<DynamicTanh>> norm;
    std::vector<std::shared_ptr<ExpertLayer>> experts;
  };
  std::vector<std::shared_ptr<Layer>> shrink_, gates_;  ///< one a scale, finest first
  std::vector<TokenLayers> tokens_;
  std::unique_ptr<UnetrScales> unetr_;
  std::shared_ptr<Layer> head_;
  PlainInstanceNorm norm_;
};

MambaHome::MambaHome(const MambaHomeSettings& s) {
  const size_t scales = s.widths.size();
  if (scales == 0) throw UsageError("widths: expected one number a scale, got none");
  for (const auto& [name, list] :
       {std::pair("depths", &s.depths), std::pair("experts", &s.experts),
        std::pair("second_experts", &s.second_experts), std::pair("groups", &s.groups)})
    if (list->size() != scales)
      throw UsageError(concat(name, ": expected ", scales, " numbers, one a scale, got ", list->size()));
  shrink_ = halving_layers(s.in_channels, s.widths);
  const auto encoder = register_module("mamba_encoder", std::make_shared<torch::nn::Module>());
  const auto list = [&](const char* name) {
    return encoder->register_module(name, std::make_shared<torch::nn::Module>());
  };
  register_list(*encoder, "downsample_layers", shrink_);
  const auto mambas = list("mamba_blocks"), norms = list("norm_moe"), mixtures = list("moe_layers");
  for (size_t i = 0; i < scales; ++i) {
    const int64_t width = s.widths[i];
    gates_.push_back(std::make_shared<GatedSpatialConvolution>(width));
    HierarchicalMoeSettings moe{{width, s.experts[i], s.expansion, s.gated_experts, s.dropout},
                                s.groups[i],
                                s.slots,
                                s.second_experts[i]};
    TokenLayers& layers = tokens_.emplace_back();
    for (int64_t k = 0; k < s.depths[i]; ++k) {
      layers.mamba.push_back(
          std::make_shared<TanhMamba>(MambaSettings{.width = width, .states = s.states, .dims = 3}));
      layers.norm.push_back(std::make_shared<DynamicTanh>(width));
      layers.experts.push_back(std::make_shared<ExpertLayer>(moe));
    }
    const std::string number = std::to_string(i);
    register_list(*mambas, number, layers.mamba);
    register_list(*norms, number, layers.norm);
    register_list(*mixtures, number, layers.experts);
  }
  register_list(*encoder, "gscs", gates_);
  std::vector<int64_t> widths = s.widths;
  widths.push_back(s.bottleneck_width);
  unetr_ = std::make_unique<UnetrScales>(*this, s.in_channels, widths);
  head_ = register_module("out", unetr_head(3, widths[0], s.classes));
}

std::vector<torch::Tensor> MambaHome::scores(const torch::Tensor& image) {
  std::vector<torch::Tensor> skips{unetr_->skip(0, image)};
  torch::Tensor x = image;
  for (size_t i = 0; i < shrink_.size(); ++i) {
    torch::Tensor t = gates_[i]->forward(shrink_[i]->forward(x)).movedim(1, -1).contiguous();
    for (size_t k = 0; k < tokens_[i].mamba.size(); ++k) {
      t = t + tokens_[i].mamba[k]->forward(t);
      t = t + tokens_[i].experts[k]->forward(tokens_[i].norm[k]->forward(t).flatten(1, 3)).view(t.sizes());
    }
    x = t.movedim(-1, 1);
    skips.push_back(unetr_->skip(i + 1, norm_.forward(x)));
  }
  x.reset();
  return {head_->forward(unetr_->decoded(std::move(skips)))};
}

Json official_settings(const Json& a) {
  MambaHomeSettings s;
  s.in_channels = argument<int64_t>(a, "in_chans", 1);
  s.classes = argument<int64_t>(a, "out_chans", 13);
  s.widths = argument(a, "feat_size", s.widths);
  s.bottleneck_width = argument<int64_t>(a, "hidden_size", s.bottleneck_width);
  s.depths = argument(a, "depths", s.depths);
  s.experts = argument(a, "experts_list", s.experts);
  s.second_experts = argument(a, "experts_list_second", s.second_experts);
  s.groups = argument(a, "group_list", s.groups);
  s.slots = argument<int64_t>(a, "num_slots_per_expert_first", s.slots);
  s.expansion = argument(a, "expert_mult", s.expansion);
  s.gated_experts = argument(a, "use_geglu", true);
  s.dropout = argument(a, "moe_dropout", 0.0);
  return to_json(s);
}

std::shared_ptr<torch::nn::Module> official_mamba(const Json& a) {
  MambaSettings s{.width = a.at("dim"), .dims = 3};
  s.states = argument(a, "d_state", s.states);
  s.conv_kernel = argument(a, "d_conv", s.conv_kernel);
  s.expand = argument(a, "expand", s.expand);
  return std::make_shared<TanhMamba>(s);
}

constexpr const char* kRepository = "gmum/MambaHoME";

}  // namespace

NetworkEntry mamba_home_entry() {
  return hybrid_entry<MambaHomeSettings>(
      {.name = "mamba_home",
       .dims = {3},
       .source = "Plotka et al.: Mamba Goes HoME: Hierarchical Soft Mixture-of-Experts for 3D Medical Image "
                 "Segmentation, NeurIPS 2025; github.com/gmum/MambaHoME",
       .summary = "SegMamba's frame with Mamba and two-level soft mixtures of experts in turn",
       .parameters = 170'128'101,
       .small =
           R"({"classes": 3, "widths": [4, 6], "bottleneck_width": 8, "depths": [1, 1], "experts": [2, 2],
                    "second_experts": [2, 3], "groups": [32, 8], "slots": 2, "states": 2})",
       .small_edge = 8,
       .official = {{kRepository, "MambaHoME", official_settings}},
       .blocks = {{kRepository, {"MambaBlock"}, official_mamba}}},
      [](const MambaHomeSettings& s) { return std::make_shared<MambaHome>(s); });
}

}  // namespace mambaseg
