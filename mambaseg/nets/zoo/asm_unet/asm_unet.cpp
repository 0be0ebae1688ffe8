// ASM-UNet (Yang et al. 2025), after its public code, whose module names it keeps: nnU-Net's plain U-Net, in
// whose wide stages Mamba reads the tokens in learnt orders. A score of each token, from its features and
// from a learnt vector over places (one a group), sorts them; the score enters the features as a channel,
// through which it learns. What Mamba gives takes the place of the features.
//
// The original wants token counts that 5 divides, at every stage with Mamba; here others take fewer slices.
// Equal scores, whose order is left open there, keep the order of the raster. Its Mamba layers carry the
// weights of two more directions, which nothing reads; `unused` says whether they are kept.

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/plain_unet.h"
#include "mambaseg/nets/blocks/tri_orientated_mamba.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/nets/model/near_ties.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr int64_t kSlices = 5;  // of the scores' third direction

struct AsmSettings {
  int64_t groups = 3;
  int64_t group_length = 2048;
  int64_t depth = 2;
  bool own_stacks = false;
  bool unused = true;
};

struct AsmUnetSettings : PlainUNetSettings, AsmSettings {
  int64_t wider_than = 64;
  bool decoder = false;

  void describe(SettingsVisitor& visit) {
    PlainUNetSettings::describe(visit);
    visit("groups", groups, "learnt orders, whose results are averaged", at_least(1));
    visit("group_length", group_length, "numbers of the vector over places, interpolated to the tokens",
          at_least(2));
    visit("depth", depth, "Mamba layers along each order", at_least(1));
    visit("own_stacks", own_stacks, "Mamba layers of its own for each order, else all share them");
    visit("wider_than", wider_than, "stages of more channels have Mamba", at_least(0));
    visit("decoder", decoder, "also those of the decoder");
    visit("unused", unused, "keep the weights of the original's Mamba layers that nothing reads");
  }
};

/// x + Mamba(relu(LN(Linear(x)))). Prefixes "linear", "norm", "mamba".
class MambaLayer : public Layer {
 public:
  MambaLayer(int64_t width, bool unused)
      : linear_(register_module("linear", std::make_shared<Linear>(width, width))),
        norm_(register_module("norm", std::make_shared<LayerNorm>(width))),
        mamba_(register_module("mamba", std::make_shared<Mamba>(MambaSettings{.width = width}))) {
    for (const char* suffix : {"_b", "_s"})
      if (unused) MambaBranch(*mamba_, {.width = width}, suffix);
  }
  Tensor forward(const Tensor& x_BLC) override {
    return x_BLC + mamba_->forward(torch::relu(norm_->forward(linear_->forward(x_BLC))));
  }

 private:
  std::shared_ptr<Linear> linear_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Mamba> mamba_;
};

/// Adaptive scan Mamba (ASM). In fp32. Prefixes "scores_generation.individual_score_generator.0", ".2", ".3",
/// "scores_generation.group_score_embeddings", "stacked_mamba_layers", "proj_g".
class AdaptiveScanMamba : public Layer {
 public:
  AdaptiveScanMamba(int64_t width, const AsmSettings& s);
  /// x (B, C, spatial...) -> the same sizes
  Tensor forward(const Tensor& x_BCS) override;
  /// The scores (B, groups, L) of tokens (B, L, C).
  Tensor scores(const Tensor& tokens_BLC);

 private:
  int64_t slices_of(int64_t tokens) const;

  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<TriOrientatedMamba> mixer_;
  std::shared_ptr<Linear> score_;
  std::vector<Tensor> groups_;
  std::vector<std::shared_ptr<Sequence>> stacks_;  ///< one for all groups, or one each
  std::shared_ptr<Sequence> proj_;
};

AdaptiveScanMamba::AdaptiveScanMamba(int64_t width, const AsmSettings& s) {
  const auto holder = [](torch::nn::Module& owner, const char* name) {
    return owner.register_module(name, std::make_shared<torch::nn::Module>());
  };
  const auto generation = holder(*this, "scores_generation");
  const auto individual = holder(*generation, "individual_score_generator");
  norm_ = individual->register_module("0", std::make_shared<LayerNorm>(width));
  mixer_ = individual->register_module(
      "2", std::make_shared<TriOrientatedMamba>(TriOrientatedMambaSettings{.width = width, .slices = 0}));
  score_ = individual->register_module("3", std::make_shared<Linear>(width, 1));
  const auto vectors = holder(*generation, "group_score_embeddings");
  for (int64_t group = 0; group < s.groups; ++group)
    groups_.push_back(vectors->register_parameter(std::to_string(group), torch::randn({s.group_length})));
  for (int64_t stack = 0; stack < (s.own_stacks ? s.groups : 1); ++stack) {
    stacks_.push_back(std::make_shared<Sequence>());
    for (int64_t layer = 0; layer < s.depth; ++layer) {
      stacks_.back()->push_back(std::make_shared<MambaLayer>(width + 1, s.unused));
      stacks_.back()->push_back(std::make_shared<LayerNorm>(width + 1));
    }
  }
  if (s.own_stacks)
    register_list(*this, "stacked_mamba_layers", stacks_);
  else
    register_module("stacked_mamba_layers", stacks_[0]);
  proj_ = register_module(
      "proj_g", sequence({std::make_shared<Linear>(width + 1, width), std::make_shared<LayerNorm>(width)}));
}

int64_t AdaptiveScanMamba::slices_of(int64_t tokens) const {
  int64_t slices = kSlices;
  while (tokens % slices != 0) --slices;
  return slices;
}

Tensor AdaptiveScanMamba::scores(const Tensor& x) {
  const int64_t L = x.size(1), slices = slices_of(L);
  // The mixer reads slices of a grid; here the tokens are cut into such, whatever their grid.
  const Tensor sliced =
      torch::relu(norm_->forward(x)).unflatten(1, std::vector<int64_t>{slices, 1, L / slices});
  const Tensor individual = score_->forward(mixer_->forward(sliced).flatten(1, 3)).sigmoid().squeeze(-1);
  std::vector<Tensor> all;
  for (const Tensor& group : groups_)
    all.push_back(torch::upsample_linear1d(group.view({1, 1, -1}), {L}, /*align_corners=*/true)
                      .sigmoid()
                      .view({1, L})
                      .to(individual.scalar_type()) +
                  individual);
  return torch::stack(all, 1);
}

Tensor AdaptiveScanMamba::forward(const Tensor& input) {
  const Tensor x = input.scalar_type() == torch::kDouble ? input : input.to(torch::kFloat);
  const Tensor tokens = x.flatten(2).transpose(1, 2);  // (B, L, C)
  const Tensor scores_BGL = scores(tokens);
  Tensor sum;
  std::vector<Tensor> sorted, places;
  for (const Tensor& score : scores_BGL.unbind(1)) {
    const Tensor with_score = torch::cat({tokens, score.unsqueeze(-1)}, -1);
    const Tensor order = std::get<1>(score.detach().sort(/*stable=*/true, /*dim=*/1, /*descending=*/false));
    places.push_back(order.unsqueeze(-1).expand_as(with_score));
    sorted.push_back(with_score.gather(1, places.back()));
  }
  const auto groups = static_cast<int64_t>(sorted.size());
  const std::vector<Tensor> read =
      stacks_.size() == 1 ? stacks_[0]->forward(torch::cat(sorted, 0)).chunk(groups, 0) : sorted;
  for (size_t group = 0; group < read.size(); ++group) {
    const Tensor y = stacks_.size() == 1 ? read[group] : stacks_[group]->forward(read[group]);
    const Tensor back = torch::zeros_like(y).scatter(1, places[group], y);
    sum = sum.defined() ? sum + back : back;
  }
  const Tensor y = proj_->forward(sum / static_cast<double>(groups));
  return y.transpose(1, 2).reshape(x.sizes()).to(input.scalar_type());
}

class AsmUnet : public PlainUNet, public TurnsOnNearTies {
 public:
  explicit AsmUnet(const AsmUnetSettings& s) : PlainUNet(s) {
    const auto extend = [&](const std::vector<std::shared_ptr<ConvStack>>& stages, bool reversed) {
      for (size_t i = 0; i < stages.size(); ++i) {
        const int64_t width = s.features[reversed ? stages.size() - 1 - i : i];
        AsmSettings asm_settings = s;
        asm_settings.own_stacks = s.own_stacks && !reversed;  // as there, the decoder's share them
        if (width > s.wider_than)
          stages[i]->then("mamba", std::make_shared<AdaptiveScanMamba>(width, asm_settings));
      }
    };
    extend(encoder_stages(), false);
    if (s.decoder) extend(decoder_stages(), true);
  }
};

Json encoder_settings(const Json& a) {
  AsmUnetSettings s;
  read_plain_unet_arguments(a, s);
  s.own_stacks = argument(a, "if_lmls", true);
  return to_json(s);
}

Json encoder_decoder_settings(const Json& a) {
  Json settings = encoder_settings(a);
  settings["decoder"] = true;
  return settings;
}

/// Its official class is asked for the scores too.
class OfficialAdaptiveScanMamba : public AdaptiveScanMamba, public GivesSeveral {
 public:
  using AdaptiveScanMamba::AdaptiveScanMamba;
  std::vector<Tensor> outputs(const std::map<std::string, Tensor>& inputs) override {
    const Tensor& x = inputs.at("x");
    return {forward(x), scores(x.flatten(2).transpose(1, 2))};
  }
};

constexpr const char* kRepository = "YqunYang/ASM-UNet";

}  // namespace

NetworkEntry asm_unet_entry() {
  using Part = std::shared_ptr<torch::nn::Module>;
  return hybrid_entry<AsmUnetSettings>(
      {.name = "asm_unet",
       .dims = {3, 2},
       .source = "Yang et al.: ASM-UNet: Adaptive Scan Mamba Integrating Group Commonalities and Individual "
                 "Variations for Fine-Grained Segmentation, 2025; github.com/YqunYang/ASM-UNet",
       .summary = "nnU-Net's plain U-Net whose wide stages are read by Mamba in learnt orders",
       .parameters = 38'975'198,
       .small = R"({"classes": 3, "features": [4, 6, 8], "convolutions": [1], "decoder_convolutions": [1],
                    "groups": 2, "group_length": 16, "depth": 1, "wider_than": 6, "unused": false})",
       .small_edge = 8,
       .official = {{kRepository, "PlainConvUNet (asmunet_enc_dynamic_network_architectures)",
                     encoder_settings, nullptr, nnunet_name},
                    {kRepository, "PlainConvUNet (asmunet_dynamic_network_architectures)",
                     encoder_decoder_settings, nullptr, nnunet_name}},
       .blocks = {{kRepository,
                   {"Adaptive_Scan_Mamba"},
                   [](const Json& a) -> Part {
                     return std::make_shared<OfficialAdaptiveScanMamba>(
                         a.at("in_dim").get<int64_t>(),
                         AsmSettings{.groups = argument<int64_t>(a, "number_gs", 3),
                                     .group_length = argument<int64_t>(a, "length_gs", 2048),
                                     .depth = argument<int64_t>(a, "depths", 2),
                                     .own_stacks = argument(a, "if_lmls", true)});
                   }},
                  {kRepository,
                   {"Mamba_Layer"},
                   [](const Json& a) -> Part {
                     return std::make_shared<MambaLayer>(a.at("dim").get<int64_t>(), true);
                   }}}},
      [](const AsmUnetSettings& s) { return std::make_shared<AsmUnet>(s); });
}

}  // namespace mambaseg
