// TranSamba, after its public code (HyT, github.com/YihengLyu/TranSamba), whose module names it keeps: a
// vision transformer on the slices of a volume, between whose blocks Mamba reads the same patch through all
// slices, patch after patch. It learns from which slices hold the structure, by its class token and by the
// mean of its patch scores ranked by size, and gives maps of class activation: the attention of its class
// token or its patch scores or both. The original draws and stores these maps, brought to 0..1 in each slice
// where the labels say that the structure is; here the network's own answer says so, and `threshold` makes
// masks of them. With `learns_from` = masks its scores are the patch scores, interpolated to voxels.
//
// The original adds the first class token to itself behind each Mamba, which doubles it in every block:
// `doubles_token` says so, for weights that were trained with it. The other class tokens pass Mamba as
// patches do. Two tables and a norm of the official class are not used; `unused` says whether they are kept.

#include <algorithm>

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/nets/zoo/transamba/transamba_blocks.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr double kRankDecay = 0.996;  // of ranked patch scores

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
  static Tensor by_tokens(const Reading& reading);          ///< answers for slices (B * Z, classes)
  static Tensor by_ranked_patches(const Reading& reading);  ///< the same
  /// Of class activation (B * Z, classes, Y / patch, X / patch), of what is watched.
  static Tensor maps(const Reading& reading, const std::string& of);

 protected:
  std::vector<Tensor> scores(const Tensor& x_BCYXZ) override;

 private:
  Tensor masks_of_maps(const Reading& reading, const Extent& slice) const;
  TransambaSettings settings_;
  Tensor cls_token_, pos_cls_, pos_pat_;
  std::shared_ptr<Convolution> proj_, head_;
  std::vector<std::shared_ptr<TransambaBlock>> blocks_;
};

Transamba::Transamba(const TransambaSettings& s) : settings_(s) {
  if (s.edge % s.patch != 0)
    throw UsageError(concat("edge: expected a multiple of the patches' ", s.patch, ", got ", s.edge));
  if (s.learns_from == "slices" && s.classes != 1)
    throw UsageError(concat("classes: expected 1 where learns_from is slices, got ", s.classes));
  if (s.in_plane == "mamba" && s.learns_from == "slices" && s.maps != "patches")
    throw UsageError("maps: expected patches where in_plane is mamba, which has no attention, got " + s.maps);
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
    blocks_.push_back(std::make_shared<TransambaBlock>(s, chance));
  register_list(*this, "blocks", blocks_);
  if (s.unused) register_module("norm", std::make_shared<LayerNorm>(s.width, kTransambaNormEps));
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

Tensor Transamba::by_tokens(const Reading& reading) { return reading.classes.flatten(0, 1).mean(-1); }

Tensor Transamba::by_ranked_patches(const Reading& reading) {
  const Tensor ranked = std::get<0>(reading.map.flatten(2).sort(-1, /*descending=*/true));
  const Tensor decay = torch::pow(kRankDecay, torch::arange(ranked.size(2), reading.map.options()));
  return (ranked * decay).sum(-1) / decay.sum();
}

Tensor Transamba::maps(const Reading& reading, const std::string& of) {
  const Tensor scores = torch::relu(reading.map);
  if (of == "patches") return scores;
  const int64_t classes = scores.size(1);
  const Tensor seen = torch::stack(reading.attention)
                          .mean(0)
                          .mean(1)
                          .slice(1, 0, classes)
                          .slice(2, classes)
                          .reshape(scores.sizes());
  return of == "attention" ? seen : (seen * scores).sqrt();
}

/// Above 0 where a slice that is said to hold the structure is active beyond the threshold.
Tensor Transamba::masks_of_maps(const Reading& reading, const Extent& slice) const {
  const Tensor active = linear_resized(maps(reading, settings_.maps), slice);
  const Tensor least = active.amin({2, 3}, true), range = active.amax({2, 3}, true) - least;
  const Tensor holds = (by_tokens(reading) + by_ranked_patches(reading) > 0).unsqueeze(-1).unsqueeze(-1);
  return torch::where(holds, (active - least) / (range + 1e-8) - settings_.threshold,
                      torch::full_like(active, -1));
}

std::vector<Tensor> Transamba::scores(const Tensor& x) {
  const Extent slice{x.size(2), x.size(3)};
  const auto of_volumes = [&](const Tensor& slices) {
    return slices.unflatten(0, std::vector<int64_t>{x.size(0), x.size(4)}).permute({0, 2, 3, 4, 1});
  };
  const auto everywhere = [&](const Tensor& answers) {
    return of_volumes(answers.unsqueeze(-1).unsqueeze(-1).expand({-1, -1, slice[0], slice[1]}));
  };
  if (settings_.learns_from == "masks") return {of_volumes(linear_resized(read(x, 0).map, slice))};
  if (is_training()) {
    const Reading reading = read(x, 0);
    return {everywhere(by_tokens(reading)), everywhere(by_ranked_patches(reading))};
  }
  const bool looks = settings_.maps != "patches";
  return {of_volumes(masks_of_maps(read(x, looks ? static_cast<size_t>(settings_.watched) : 0), slice))};
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
  s.qkv_bias = argument(a, "qkv_bias", false);
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

class OfficialBlockOfSlices : public TransambaBlock {
 public:
  explicit OfficialBlockOfSlices(const Json& a)
      : TransambaBlock(settings_of(a), 0), length_(a.at("length")) {}
  Tensor forward(const Tensor& x) override {
    return TransambaBlock::forward(volumes(x, length_)).flatten(0, 1);
  }

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
    const Reading reading = read(volumes(x, length_).permute({0, 2, 3, 4, 1}), 2);
    const Tensor token = by_tokens(reading), patches = by_ranked_patches(reading);
    return {token, patches, (token + patches) / 2, maps(reading, "both")};
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
