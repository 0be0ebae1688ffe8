// TranSamba, after its public code (HyT, github.com/YihengLyu/TranSamba), whose module names it keeps: a
// vision transformer on the slices of a volume, between whose blocks Mamba reads the same patch through all
// slices, patch after patch. There it learns from labels of slices, by its class tokens and by the mean of
// its patch scores ranked by size, and the scores of its patches, with the attention of its class tokens,
// become masks. Here the patch scores, interpolated to voxels, are its scores, to be learnt from masks.
//
// The original adds the first class token to itself behind each Mamba, which doubles it in every block:
// `doubles_token` says so, for weights that were trained with it. The other class tokens pass Mamba as
// patches do. Two tables and a norm of the official class are not used; `unused` says whether they are kept.

#include <algorithm>
#include <cmath>

#include "mambaseg/nets/blocks/attention.h"
#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr double kNormEps = 1e-6;
constexpr double kRankDecay = 0.996;  // of ranked patch scores

struct TransambaSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  int64_t edge = 224;
  int64_t patch = 16;
  int64_t width = 384;
  int64_t depth = 12;
  int64_t heads = 6;
  int64_t mlp_ratio = 4;
  std::string planes = "before";
  std::string in_plane = "attention";
  double drop_path = 0.1;
  bool doubles_token = false;
  bool unused = true;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("edge", edge, "edge of the slices that places are learnt for, a multiple of `patch`", at_least(1));
    visit("patch", patch, "edge of the squares that become tokens", at_least(1));
    visit("width", width, "channels of the tokens", at_least(1));
    visit("depth", depth, "blocks", at_least(1));
    visit("heads", heads, "attention heads, a divisor of the width", at_least(1));
    visit("mlp_ratio", mlp_ratio, "hidden channels of the MLP / width", at_least(1));
    visit("planes", planes,
          "where Mamba stands: before the transformer's part of a block, after it, or beside it, reading "
          "through the slices; in_plane: before it, reading within each slice; none",
          one_of({"before", "after", "beside", "in_plane", "none"}));
    visit("in_plane", in_plane,
          "what mixes the tokens of a slice: attention, or mamba (forwards and backwards, then without MLP; "
          "with planes = before or none)",
          one_of({"attention", "mamba"}));
    visit("drop_path", drop_path,
          "training: chance that the last block's branches are left out for a slice; falls to 0 towards the "
          "first",
          between(0, 1));
    visit("doubles_token", doubles_token, "the original's mistake: each block doubles the first class token");
    visit("unused", unused, "keep the tables and the norm of the official class that nothing reads");
  }
};

/// Reads tokens (B, Z, M, C) through all slices at each place, place after place. Prefix "mamba".
class CrossPlaneMamba : public Layer {
 public:
  explicit CrossPlaneMamba(int64_t width)
      : mamba_(register_module("mamba", std::make_shared<Mamba>(MambaSettings{.width = width, .dims = 2}))) {}
  Tensor forward(const Tensor& x_BZMC) override {
    return mamba_->forward(x_BZMC.transpose(1, 2)).transpose(1, 2);
  }

 private:
  std::shared_ptr<Mamba> mamba_;
};

/// Reads the tokens of each slice, the first one in their middle. Prefix "mamba".
class InPlaneMamba : public Layer {
 public:
  InPlaneMamba(int64_t width, bool backwards)
      : backwards_(backwards),
        mamba_(register_module("mamba", std::make_shared<Mamba>(MambaSettings{.width = width}))) {}
  Tensor forward(const Tensor& x_BZMC) override {
    const int64_t M = x_BZMC.size(2), middle = M / 2;
    const Tensor x = x_BZMC.flatten(0, 1);
    const auto part = [](const Tensor& t, int64_t from, int64_t to) { return t.slice(1, from, to); };
    const Tensor y = mamba_->read(
        torch::cat({part(x, 1, middle + 1), part(x, 0, 1), part(x, middle + 1, M)}, 1), backwards_);
    return torch::cat({part(y, middle, middle + 1), part(y, 0, middle), part(y, middle + 1, M)}, 1)
        .view_as(x_BZMC);
  }

 private:
  bool backwards_;
  std::shared_ptr<Mamba> mamba_;
};

/// Tokens (B, Z, M, C), the first of each slice its class token. Prefixes "norm1", "attn", "norm2", "mlp" or
/// "forward_mamba", "backward_mamba"; "norm3", "mamba_block" or "uni_inm".
class Block : public Layer {
 public:
  Block(const TransambaSettings& s, double drop_path);
  Tensor forward(const Tensor& x) override;
  /// Of the attention, (B * Z, heads, M, M).
  Tensor weights(const Tensor& x) { return attn_->weights(norm1_->forward(before(x)).flatten(0, 1)); }

 private:
  Tensor before(const Tensor& x);
  Tensor within(const Tensor& x);
  Tensor through(const Tensor& x);

  std::string planes_;
  bool doubles_token_;
  std::shared_ptr<LayerNorm> norm1_, norm2_, norm3_;
  std::shared_ptr<SelfAttention> attn_;
  std::shared_ptr<MixerMlp> mlp_;
  std::shared_ptr<InPlaneMamba> forward_, backward_, in_plane_;
  std::shared_ptr<CrossPlaneMamba> cross_;
  std::shared_ptr<DropPath> path_;
};

Block::Block(const TransambaSettings& s, double drop_path)
    : planes_(s.planes), doubles_token_(s.doubles_token) {
  const auto norm = [&](const char* name) {
    return register_module(name, std::make_shared<LayerNorm>(s.width, kNormEps));
  };
  const auto reading = [&](const char* name, bool backwards) {
    return register_module(name, std::make_shared<InPlaneMamba>(s.width, backwards));
  };
  norm1_ = norm("norm1");
  if (s.in_plane == "mamba") {
    forward_ = reading("forward_mamba", false);
    backward_ = reading("backward_mamba", true);
  } else {
    attn_ = register_module("attn", std::make_shared<SelfAttention>(
                                        AttentionSettings{.width = s.width, .heads = s.heads, .bias = true}));
    norm2_ = norm("norm2");
    mlp_ =
        register_module("mlp", std::make_shared<MixerMlp>(s.width, s.mlp_ratio * s.width, 0, "fc1", "fc2"));
    start_as_vmamba(*attn_);  // as all vision transformers
    start_as_vmamba(*mlp_);
  }
  if (planes_ != "none") norm3_ = norm("norm3");
  if (planes_ == "in_plane")
    in_plane_ = reading("uni_inm", false);
  else if (planes_ != "none")
    cross_ = register_module("mamba_block", std::make_shared<CrossPlaneMamba>(s.width));
  path_ = register_module("drop_path", std::make_shared<DropPath>(drop_path));
}

/// What Mamba makes of all tokens but the first.
Tensor Block::through(const Tensor& x) {
  const Tensor y = cross_->forward(norm3_->forward(x.slice(2, 1))), first = x.slice(2, 0, 1);
  return path_->forward(torch::cat({doubles_token_ ? first : torch::zeros_like(first), y}, 2));
}

Tensor Block::before(const Tensor& x) {
  if (planes_ == "before") return x + through(x);
  return planes_ == "in_plane" ? x + path_->forward(in_plane_->forward(norm3_->forward(x))) : x;
}

Tensor Block::within(const Tensor& x) {
  const Tensor normed = norm1_->forward(x);
  if (forward_) return x + path_->forward(forward_->forward(normed) + backward_->forward(normed));
  const Tensor y = x + path_->forward(attn_->forward(normed.flatten(0, 1)).view_as(x));
  return y + path_->forward(mlp_->forward(norm2_->forward(y)));
}

Tensor Block::forward(const Tensor& input) {
  const Tensor x = before(input), y = within(x);
  if (planes_ == "after") return y + through(y);
  return planes_ == "beside" ? y + through(x) : y;
}

class Transamba : public Network {
 public:
  explicit Transamba(const TransambaSettings& s);
  Extent size_multiples() const override { return {settings_.patch, settings_.patch, 1}; }

  struct Reading {
    Tensor classes;                 ///< (B, Z, classes, width), the class tokens
    Tensor map;                     ///< (B * Z, classes, Y / patch, X / patch), scores of the patches
    std::vector<Tensor> attention;  ///< of the last blocks, (B * Z, heads, M, M)
  };
  /// x (B, in_channels, Y, X, Z); `watched` blocks give their attention.
  Reading read(const Tensor& x_BCYXZ, size_t watched);

 protected:
  std::vector<Tensor> scores(const Tensor& x_BCYXZ) override;

 private:
  TransambaSettings settings_;
  Tensor cls_token_, pos_cls_, pos_pat_;
  std::shared_ptr<Convolution> proj_, head_;
  std::vector<std::shared_ptr<Block>> blocks_;
};

Transamba::Transamba(const TransambaSettings& s) : settings_(s) {
  if (s.edge % s.patch != 0)
    throw UsageError(concat("edge: expected a multiple of the patches' ", s.patch, ", got ", s.edge));
  if (s.in_plane == "mamba" && s.planes != "before" && s.planes != "none")
    throw UsageError("planes: expected before or none where in_plane is mamba, got " + s.planes);
  const auto table = [&](const char* name, int64_t rows) {
    return register_parameter(name, 0.02 * torch::randn({1, rows, s.width}));
  };
  const auto tokens = [&](int64_t edge) { return (edge / s.patch) * (edge / s.patch); };
  cls_token_ = table("cls_token", s.classes);
  if (s.unused) table("pos_embed", tokens(224) + 1);  // timm's, whatever the edge
  pos_cls_ = table("pos_embed_cls", s.classes);
  pos_pat_ = table("pos_embed_pat", tokens(s.edge));
  proj_ = register_module("patch_embed", std::make_shared<torch::nn::Module>())
              ->register_module("proj", conv(2, s.in_channels, s.width, s.patch,
                                             {.stride = cube(2, s.patch), .padding = cube(2, 0)}));
  for (const double chance : rising_drop_path(s.depth, s.drop_path))
    blocks_.push_back(std::make_shared<Block>(s, chance));
  register_list(*this, "blocks", blocks_);
  if (s.unused) register_module("norm", std::make_shared<LayerNorm>(s.width, kNormEps));
  head_ = register_module("head", conv(2, s.width, s.classes, 3));
}

Transamba::Reading Transamba::read(const Tensor& input, size_t watched) {
  const int64_t B = input.size(0), Z = input.size(4), classes = settings_.classes;
  const int64_t learnt = settings_.edge / settings_.patch;
  const Tensor map = proj_->forward(input.permute({0, 4, 1, 2, 3}).flatten(0, 1));  // (B Z, C, Y, X)
  const int64_t Y = map.size(2), X = map.size(3);
  Tensor places = pos_pat_;
  if (Y != learnt || X != learnt)
    places = torch::upsample_bicubic2d(
                 pos_pat_.unflatten(1, std::vector<int64_t>{learnt, learnt}).permute({0, 3, 1, 2}), {Y, X},
                 /*align_corners=*/false)
                 .flatten(2)
                 .transpose(1, 2);
  const Tensor patches = map.flatten(2).transpose(1, 2) + places.to(map.scalar_type());
  const Tensor first = (cls_token_ + pos_cls_).to(map.scalar_type()).expand({B * Z, classes, -1});
  Tensor x = torch::cat({first, patches}, 1).unflatten(0, std::vector<int64_t>{B, Z});
  Reading reading;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (i + watched >= blocks_.size()) reading.attention.push_back(blocks_[i]->weights(x));
    x = blocks_[i]->forward(x);
  }
  reading.classes = x.slice(2, 0, classes);
  reading.map = head_->forward(
      x.slice(2, classes).flatten(0, 1).transpose(1, 2).unflatten(2, std::vector<int64_t>{Y, X}));
  return reading;
}

std::vector<Tensor> Transamba::scores(const Tensor& x) {
  const Tensor map = linear_resized(read(x, 0).map, {x.size(2), x.size(3)});
  return {map.unflatten(0, std::vector<int64_t>{x.size(0), x.size(4)}).permute({0, 2, 3, 4, 1})};
}

TransambaSettings settings_of(const Json& a) {
  TransambaSettings s;
  s.patch = argument<int64_t>(a, "patch_size", 16);
  s.width = argument<int64_t>(a, "embed_dim", argument<int64_t>(a, "dim", 384));
  s.depth = argument<int64_t>(a, "depth", 12);
  s.heads = argument<int64_t>(a, "num_heads", 6);
  s.mlp_ratio = argument<int64_t>(a, "mlp_ratio", 4);
  s.classes = argument<int64_t>(a, "num_classes", 1);
  s.edge = argument<int64_t>(a, "input_size", 224);
  s.drop_path = argument(a, "drop_path_rate", 0.0);
  const auto layer = argument<std::string>(a, "hy_layer", "CI");
  s.planes = layer == "CI"           ? "before"
             : layer == "IC"         ? "after"
             : layer == "P"          ? "beside"
             : layer == "UniInM-InT" ? "in_plane"
                                     : "none";
  s.in_plane = argument<std::string>(a, "inplane", "T") == "M" ? "mamba" : "attention";
  s.doubles_token = true;
  return s;
}

Json official_settings(const Json& a) { return to_json(settings_of(a)); }

/// The official classes read slices (B * length, ...), those of a volume together.
Tensor volumes(const Tensor& x, int64_t length) { return x.unflatten(0, std::vector<int64_t>{-1, length}); }

class OfficialCrossPlane : public CrossPlaneMamba {
 public:
  explicit OfficialCrossPlane(const Json& a) : CrossPlaneMamba(a.at("dim")), length_(a.at("length")) {}
  Tensor forward(const Tensor& x) override {
    return CrossPlaneMamba::forward(volumes(x, length_)).flatten(0, 1);
  }

 private:
  int64_t length_;
};

class OfficialBlockOfSlices : public Block {
 public:
  explicit OfficialBlockOfSlices(const Json& a) : Block(settings_of(a), 0), length_(a.at("length")) {}
  Tensor forward(const Tensor& x) override { return Block::forward(volumes(x, length_)).flatten(0, 1); }

 protected:
  int64_t length_;
};

/// With attention it gives that too.
class OfficialAttentionBlock : public OfficialBlockOfSlices, public GivesSeveral {
 public:
  using OfficialBlockOfSlices::OfficialBlockOfSlices;
  std::vector<Tensor> outputs(const std::map<std::string, Tensor>& inputs) override {
    const Tensor& x = inputs.at("x");
    return {forward(x), weights(volumes(x, length_))};
  }
};

/// Scores of the classes by tokens and by ranked patches, their mean, and maps of the last two blocks'
/// attention joined with those of the patches.
class OfficialNetworkOfSlices : public Transamba, public GivesSeveral {
 public:
  explicit OfficialNetworkOfSlices(const Json& a) : Transamba(settings_of(a)), length_(a.at("length")) {}
  std::vector<Tensor> outputs(const std::map<std::string, Tensor>& inputs) override {
    const Tensor& x = inputs.at("x");
    const auto [classes, map, attention] = read(volumes(x, length_).permute({0, 2, 3, 4, 1}), 2);
    const Tensor by_token = classes.flatten(0, 1).mean(-1);
    const Tensor ranked = std::get<0>(map.flatten(2).sort(-1, /*descending=*/true));
    const Tensor decay = torch::pow(kRankDecay, torch::arange(ranked.size(2), map.options()));
    const Tensor by_patch = (ranked * decay).sum(-1) / decay.sum();
    const int64_t count = map.size(1);
    const Tensor seen =
        torch::stack(attention).mean(0).mean(1).slice(1, 0, count).slice(2, count).reshape(map.sizes());
    return {by_token, by_patch, (by_token + by_patch) / 2, (seen * torch::relu(map)).sqrt()};
  }

 private:
  int64_t length_;
};

constexpr const char* kRepository = "YihengLyu/TranSamba";

}  // namespace

NetworkEntry transamba_entry() {
  using Part = std::shared_ptr<torch::nn::Module>;
  return hybrid_entry<TransambaSettings>(
      {.name = "transamba",
       .dims = {3},
       .source = "TranSamba, 2025; github.com/YihengLyu/TranSamba",
       .summary = "vision transformer on slices (the last axis), Mamba through the slices",
       .parameters = 33'320'065,
       .small = R"({"classes": 3, "edge": 16, "patch": 4, "width": 8, "depth": 2, "heads": 2, "mlp_ratio": 2,
                    "drop_path": 0.0, "unused": false})",
       .small_edge = 8,
       .official = {{kRepository, "deit_small_HyT", official_settings}},
       .blocks = {{kRepository,
                   {"HyT"},
                   [](const Json& a) -> Part { return std::make_shared<OfficialNetworkOfSlices>(a); }},
                  {kRepository,
                   {"Block"},
                   [](const Json& a) -> Part {
                     if (settings_of(a).in_plane == "mamba")
                       return std::make_shared<OfficialBlockOfSlices>(a);
                     return std::make_shared<OfficialAttentionBlock>(a);
                   }},
                  {kRepository,
                   {"MambaBlock"},
                   [](const Json& a) -> Part { return std::make_shared<OfficialCrossPlane>(a); }}}},
      [](const TransambaSettings& s) { return std::make_shared<Transamba>(s); });
}

}  // namespace mambaseg
