// The networks of "Taming Mambas for Voxel Level 3D Medical Image Segmentation" and "Accurate 3D Medical
// Image Segmentation with Mambas" (Lumetti et al. 2024, 2025), after their public code, whose module names
// they keep: nnU-Net's residual U-Net with Mamba behind every stage, full resolution included, reading the
// voxels in one (SegMamba there, which is not Xing's), two (PanSegMamba) or eight directions (MultiSegMamba),
// on the skips alone (SegMambaSkip), or with a class token that attends to all voxels beside each of them
// (SeerSegMamba).
//
// States grow with the width. What the mixers give replaces the features; residuals are within. Made for
// three dimensions there; here for two as well, where "multi" reads rows and columns.

#include <algorithm>
#include <cmath>

#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

constexpr int64_t kHeads = 4;
constexpr double kAttentionDropout = 0.1;

struct TamingMambasSettings : UNetShape {
  std::string variant = "multi";
  std::vector<int64_t> blocks{2};
  std::vector<int64_t> decoder_blocks{2};
  int64_t most_states = 0;

  void describe(SettingsVisitor& visit) {
    UNetShape::describe(visit);
    visit("variant", variant,
          "how Mamba reads: one direction, two (pan), all axes both ways (multi), two on the skips only "
          "(skip), one with a class token that attends to all voxels (seer)",
          one_of({"one", "pan", "multi", "skip", "seer"}));
    visit("blocks", blocks, "residual blocks of each encoder stage, one number stands for all", at_least(1));
    visit("decoder_blocks", decoder_blocks,
          "residual blocks of each decoder stage, coarsest first; one number stands for all", at_least(1));
    visit("most_states", most_states,
          "states of the selective scan a channel: as many as the stage has channels, but not more than "
          "these; 0: 64 for multi, else 256",
          between(0, 256));
  }
  int64_t cap() const { return most_states > 0 ? most_states : variant == "multi" ? 64 : 256; }
};

MambaSettings growing_mamba(int64_t width, int64_t cap, int64_t dims) {
  return {.width = width, .states = std::min(width, cap), .dims = dims};
}

/// MambaTrans: x + Mamba(norm(x)), then x + linear(norm(x)). Prefixes "norm1", "mamba", "norm2", "head".
class MambaTrans : public Layer {
 public:
  explicit MambaTrans(const MambaSettings& mamba)
      : mamba_(register_module("mamba", std::make_shared<Mamba>(mamba))),
        norm1_(register_module("norm1", std::make_shared<LayerNorm>(mamba.width))),
        norm2_(register_module("norm2", std::make_shared<LayerNorm>(mamba.width))),
        head_(register_module("head", std::make_shared<Linear>(mamba.width, mamba.width))) {}
  /// x (B, sizes..., width) -> the same sizes; the tokens are read from last to first where `backwards`.
  torch::Tensor read(const torch::Tensor& x, bool backwards) {
    const torch::Tensor mixed = x + mamba_->read(norm1_->forward(x), backwards);
    return head_->run(norm2_->forward(mixed), {Activation::none, mixed});
  }
  torch::Tensor forward(const torch::Tensor& x) override { return read(x, false); }

 private:
  std::shared_ptr<Mamba> mamba_;
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<Linear> head_;
};

/// PanMambaTrans: the norm of the sum of one that reads forwards and one that reads backwards. Prefixes
/// "fwd_mamba", "bwd_mamba", "norm".
class PanMambaTrans : public Layer {
 public:
  explicit PanMambaTrans(const MambaSettings& mamba)
      : forwards_(register_module("fwd_mamba", std::make_shared<MambaTrans>(mamba))),
        backwards_(register_module("bwd_mamba", std::make_shared<MambaTrans>(mamba))),
        norm_(register_module("norm", std::make_shared<LayerNorm>(mamba.width))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return norm_->forward(forwards_->read(x, false) + backwards_->read(x, true));
  }

 private:
  std::shared_ptr<MambaTrans> forwards_, backwards_;
  std::shared_ptr<LayerNorm> norm_;
};

/// MultiMambaTrans: the mean of PanMambaTrans on maps whose axes are taken in the orders (0, 1, 2), (0, 2,
/// 1), (1, 0, 2) and (2, 0, 1); in the plane in both orders. Prefix "mambas".
class MultiMambaTrans : public Layer {
 public:
  explicit MultiMambaTrans(const MambaSettings& mamba) {
    orders_ = mamba.dims == 3 ? std::vector<Extent>{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {2, 0, 1}}
                              : std::vector<Extent>{{0, 1}, {1, 0}};
    for (size_t i = 0; i < orders_.size(); ++i) mambas_.push_back(std::make_shared<PanMambaTrans>(mamba));
    register_list(*this, "mambas", mambas_);
  }
  /// x (B, width, spatial...) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor sum;
    for (size_t i = 0; i < orders_.size(); ++i) {
      const Extent& order = orders_[i];
      Extent there{0}, back(order.size() + 2);  // (B, C, axes) -> (B, axes in this order, C) and back
      for (const int64_t axis : order) {
        back[static_cast<size_t>(axis) + 2] = static_cast<int64_t>(there.size());
        there.push_back(axis + 2);
      }
      back[1] = static_cast<int64_t>(there.size());
      there.push_back(1);
      const torch::Tensor y = mambas_[i]->forward(x.permute(there).contiguous()).permute(back);
      sum = sum.defined() ? sum + y : y;
    }
    return sum / static_cast<double>(orders_.size());
  }

 private:
  std::vector<Extent> orders_;
  std::vector<std::shared_ptr<PanMambaTrans>> mambas_;
};

/// MambaLayer: norm, then the mixer, on maps. Prefixes "norm", "mamba".
class NormedMixer : public Layer {
 public:
  NormedMixer(int64_t width, std::shared_ptr<Layer> mixer)
      : norm_(register_module("norm", std::make_shared<LayerNorm>(width))),
        mixer_(register_module("mamba", std::move(mixer))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return mixer_->forward(norm_->forward(x.movedim(1, -1))).movedim(-1, 1);
  }

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Layer> mixer_;
};

/// A Mamba whose tokens come with as many channels again, and leave without. Prefixes as Mamba.
class HalvingMamba : public Layer {
 public:
  explicit HalvingMamba(const MambaSettings& s)
      : channels_(s.expand * s.width),
        in_proj_(register_module("in_proj", std::make_shared<Linear>(s.width, 2 * channels_, false))),
        out_proj_(register_module("out_proj", std::make_shared<Linear>(channels_, s.width / 2, false))),
        branch_(*this, s),
        walk_(s.dims) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    const std::vector<torch::Tensor> halves = in_proj_->forward(x).chunk(2, -1);
    const auto walk = walk_.over(x);
    const torch::Tensor y = branch_.follow(halves[0], walk.get(), halves[1]);
    return out_proj_->forward(y.to(halves[0].scalar_type()));
  }

 private:
  int64_t channels_;
  std::shared_ptr<Linear> in_proj_, out_proj_;
  MambaBranch branch_;
  RowWalk walk_;
};

/// SeerMambaTransLayer2: a class token, plus what its four heads find in all tokens, stands beside each token
/// in what Mamba reads. Scores are divided by the root of the width, not of the heads' width, as in the
/// published code. Prefixes "W_Q", "W_K", "W_V", "mamba", "norm1", "norm2", "head".
class SeerMamba : public Module, public GivesSeveral {
 public:
  SeerMamba(int64_t width, int64_t cap, int64_t dims) : width_(width) {
    if (width % kHeads != 0)
      throw UsageError(concat("features: the variant seer needs multiples of ", kHeads, ", got ", width));
    for (const char* name : {"W_Q", "W_K", "W_V"})
      projections_.push_back(
          register_parameter(name, torch::randn({width, width}) / std::sqrt(static_cast<double>(width))));
    MambaSettings mamba = growing_mamba(width, cap, dims);
    mamba.width = 2 * width;
    mamba_ = register_module("mamba", std::make_shared<HalvingMamba>(mamba));
    norm1_ = register_module("norm1", std::make_shared<LayerNorm>(2 * width));
    norm2_ = register_module("norm2", std::make_shared<LayerNorm>(width));
    head_ = register_module("head", std::make_shared<Linear>(width, width));
    dropout_ = register_module("dropout", std::make_shared<Dropout>(kAttentionDropout));
  }
  /// tokens (B, sizes..., width), token (B, 1, width) -> both
  std::pair<torch::Tensor, torch::Tensor> seen(const torch::Tensor& x, const torch::Tensor& token) {
    const torch::Tensor seer = token + attended(x.flatten(1, -2), token);
    std::vector<int64_t> sizes = x.sizes().vec(), beside(sizes.size(), 1);
    beside[0] = sizes[0];
    beside.back() = width_;
    const torch::Tensor both = torch::cat({x, seer.reshape(beside).expand(sizes).to(x.scalar_type())}, -1);
    const torch::Tensor y = x + mamba_->forward(norm1_->forward(both));
    return {head_->run(norm2_->forward(y), {Activation::none, y}), seer};
  }
  std::vector<torch::Tensor> outputs(const std::map<std::string, torch::Tensor>& inputs) override {
    const auto [tokens, token] = seen(inputs.at("x"), inputs.at("CLS"));
    return {tokens, token};
  }

 private:
  /// What the token finds in x (B, L, C). Keys and values of all tokens are never made: with a head's query
  /// q, q . (x W_K) = x . (W_K q), and the mean of x W_V is (mean of x) W_V.
  torch::Tensor attended(const torch::Tensor& x_BLC, const torch::Tensor& token) {
    const int64_t B = x_BLC.size(0), each = width_ / kHeads;
    const torch::Tensor x = x_BLC.to(token.scalar_type());
    const auto by_head = [&](const torch::Tensor& w) { return w.view({width_, kHeads, each}); };
    const torch::Tensor query = torch::matmul(token, projections_[0]).view({B, kHeads, each});
    const torch::Tensor probe = torch::einsum("che,bhe->bch", {by_head(projections_[1]), query});
    const torch::Tensor scores = torch::matmul(x, probe) / std::sqrt(static_cast<double>(width_));
    const torch::Tensor weights_BLH = dropout_->forward(torch::softmax(scores, 1));
    const torch::Tensor mean = torch::einsum("blh,blc->bhc", {weights_BLH, x});
    return torch::einsum("bhc,che->bhe", {mean, by_head(projections_[2])}).reshape({B, 1, width_});
  }
  int64_t width_;
  std::vector<torch::Tensor> projections_;  ///< of queries, keys and values
  std::shared_ptr<HalvingMamba> mamba_;
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<Linear> head_;
  std::shared_ptr<Dropout> dropout_;
};

/// A learnt class token. Parameter "CLS".
struct ClassToken : Module {
  explicit ClassToken(int64_t width) : token(register_parameter("CLS", torch::randn({1, 1, width}))) {}
  torch::Tensor token;
};

class TamingMambas : public Network {
 public:
  explicit TamingMambas(const TamingMambasSettings& s);
  Extent size_multiples() const override { return settings_.size_multiples(); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  torch::Tensor mixed(size_t stage, const torch::Tensor& x);

  TamingMambasSettings settings_;
  std::shared_ptr<ResidualEncoder> encoder_;
  std::shared_ptr<NnunetDecoder> decoder_;
  std::vector<std::shared_ptr<Layer>> mixers_;  ///< full resolution first; or seers
  std::vector<std::shared_ptr<SeerMamba>> seers_;
  std::vector<std::shared_ptr<ClassToken>> tokens_;  ///< of the seers
};

TamingMambas::TamingMambas(const TamingMambasSettings& s)
    : settings_(s),
      encoder_(register_module("encoder", std::make_shared<ResidualEncoder>(s, s.blocks))),
      decoder_(register_module("decoder", std::make_shared<NnunetDecoder>(s, s.decoder_blocks, true))) {
  for (const int64_t width : s.features) {
    const MambaSettings mamba = growing_mamba(width, s.cap(), s.dimension);
    if (s.variant == "seer") {
      seers_.push_back(std::make_shared<SeerMamba>(width, s.cap(), s.dimension));
      tokens_.push_back(std::make_shared<ClassToken>(width));
    } else if (s.variant == "multi") {
      mixers_.push_back(std::make_shared<MultiMambaTrans>(mamba));
    } else if (s.variant == "one") {
      mixers_.push_back(std::make_shared<NormedMixer>(width, std::make_shared<MambaTrans>(mamba)));
    } else {
      mixers_.push_back(std::make_shared<NormedMixer>(width, std::make_shared<PanMambaTrans>(mamba)));
    }
  }
  if (seers_.empty()) {
    register_list(*encoder_, "mamba_layers", mixers_);
  } else {
    register_list(*encoder_, "mamba_layers", seers_);
    register_list(*encoder_, "cls_layers", tokens_);
  }
  for (const auto& part : modules(/*include_self=*/false))
    if (auto* block = dynamic_cast<BasicBlockD*>(part.get())) block->silence();
}

torch::Tensor TamingMambas::mixed(size_t stage, const torch::Tensor& x) {
  if (seers_.empty()) return mixers_[stage]->forward(x);
  const torch::Tensor tokens = x.movedim(1, -1).contiguous();
  return seers_[stage]->seen(tokens, tokens_[stage]->token.expand({x.size(0), 1, -1})).first.movedim(-1, 1);
}

std::vector<torch::Tensor> TamingMambas::scores(const torch::Tensor& x) {
  const bool on_skips = settings_.variant == "skip";
  const auto behind = [&](size_t stage, const torch::Tensor& y) { return mixed(stage, y); };
  std::vector<torch::Tensor> skips = on_skips ? encoder_->forward(x) : encoder_->forward(x, behind);
  for (size_t i = 0; on_skips && i < skips.size(); ++i) skips[i] = mixed(i, skips[i]);
  return decoder_->forward(skips, wants_all_scales() && settings_.deep_supervision);
}

Json settings_of(const Json& a, const char* variant) {
  TamingMambasSettings s;
  read_shape(a, s);
  s.variant = variant;
  s.blocks = stage_numbers(a, "n_conv_per_stage");
  s.decoder_blocks = stage_numbers(a, "n_conv_per_stage_decoder");
  return to_json(s);
}
Json one_direction(const Json& a) { return settings_of(a, "one"); }
Json two_directions(const Json& a) { return settings_of(a, "pan"); }
Json eight_directions(const Json& a) { return settings_of(a, "multi"); }
Json on_skips(const Json& a) { return settings_of(a, "skip"); }
Json with_seers(const Json& a) { return settings_of(a, "seer"); }

/// A mixer of the official code, whose states are as many as channels, but not more than Cap.
template <class Mixer, int64_t Cap>
std::shared_ptr<torch::nn::Module> official_mixer(const Json& a) {
  return std::make_shared<Mixer>(growing_mamba(a.at("channels"), Cap, 3));
}

std::shared_ptr<torch::nn::Module> official_seer(const Json& a) {
  return std::make_shared<SeerMamba>(a.at("channels").get<int64_t>(), 256, 3);
}

constexpr const char* kRepository = "LucaLumetti/TamingMambas";

}  // namespace

NetworkEntry taming_mambas_entry() {
  return hybrid_entry<TamingMambasSettings>(
      {.name = "taming_mambas",
       .dims = {3, 2},
       .source =
           "Lumetti et al.: Taming Mambas for Voxel Level 3D Medical Image Segmentation, 2024; Accurate "
           "3D Medical Image Segmentation with Mambas, ISBI 2025; github.com/LucaLumetti/TamingMambas",
       .summary = "residual U-Net with Mamba behind every stage, in one, two or eight directions",
       .parameters = 78'228'330,
       .small =
           R"({"classes": 3, "features": [4, 6, 8], "blocks": [1], "decoder_blocks": [1], "most_states": 4})",
       .small_edge = 8,
       .official = {{kRepository, "MultiSegMamba", eight_directions, nullptr, nnunet_name},
                    {kRepository, "PanSegMamba", two_directions, nullptr, nnunet_name},
                    {kRepository, "SegMamba", one_direction, nullptr, nnunet_name},
                    {kRepository, "SegMambaSkip", on_skips, nullptr, nnunet_name},
                    {kRepository, "SeerSegMamba", with_seers, nullptr, nnunet_name}},
       .blocks = {{kRepository, {"MambaTrans"}, official_mixer<MambaTrans, 256>},
                  {kRepository, {"PanMambaTrans"}, official_mixer<PanMambaTrans, 256>},
                  {kRepository, {"MultiMambaTrans"}, official_mixer<MultiMambaTrans, 64>},
                  {kRepository, {"SeerMambaTransLayer2"}, official_seer}}},
      [](const TamingMambasSettings& s) {
        s.check();
        return std::make_shared<TamingMambas>(s);
      });
}

}  // namespace mambaseg
