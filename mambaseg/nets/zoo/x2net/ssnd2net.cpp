// SSND2Net (nnUZoo, later than its paper; in the plane): SS2D2Net with a gated spatial convolution before
// each selective scan, two blocks a level in the encoder, and Us of scans, whose levels share a grid, at the
// coarsest scales too. How often the grid is halved inside the Us follows from `patch`, the size that the
// network is made for: while both sides are even. `even` is its small variant (SSND2NetP), there with a width
// of 64.

#include <regex>

#include "mambaseg/nets/blocks/lightm_blocks.h"
#include "mambaseg/nets/blocks/scan_u.h"
#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/blocks/ss3d.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct Ssnd2NetSettings : X2NetSettings {
  int64_t mid = 16;
  int64_t states = 16;
  Extent patch{320, 192};
  double drop_path = 0.2;
  bool unused = true;

  Ssnd2NetSettings() { in_channels = 1; }
  void describe(SettingsVisitor& visit) {
    X2NetSettings::describe(visit);
    visit("mid", mid, "channels inside the finest U; doubled to the fifth scale unless even", at_least(4));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("patch", patch,
          "input size the network is made for: rows and columns, multiples of 32, both 32 times an odd "
          "number or "
          "neither",
          at_least(32));
    visit("drop_path", drop_path,
          "training: chance that a U's deepest block leaves its branch out for a sample; falls to 0 towards "
          "its "
          "finest level",
          between(0, 1));
    visit("unused", unused, "keep the heads of the official class that nothing passes");
  }
  void check() const {
    if (patch.size() != 2 || patch[0] % 32 != 0 || patch[1] % 32 != 0 || (patch[0] - patch[1]) % 64 != 0)
      throw UsageError(
          concat("patch: expected rows and columns, multiples of 32, both 32 times an odd number "
                 "or neither, got ",
                 Json(patch).dump()));
  }
  /// Of a U of `levels` levels that the image reaches halved `before` times.
  int64_t halvings(int64_t before, int64_t levels) const {
    const bool even = (patch[0] >> 5) % 2 == 0;
    return std::min<int64_t>(levels - 1, (even ? 6 : 5) - before);
  }
};

/// SS2D or in three dimensions SS3D, whose convolution is named "convnd.conv", as MONAI wraps it.
std::shared_ptr<Layer> ssnd_mixer(int64_t dims, const Ss2dSettings& s) {
  std::shared_ptr<Layer> mixer;
  if (dims == 2)
    mixer = std::make_shared<SS2D>(s);
  else
    mixer = std::make_shared<SS3D>(Ss3dSettings{.width = s.width,
                                                .states = s.states,
                                                .conv_kernel = s.conv_kernel,
                                                .expand = s.expand,
                                                .dt_rank = s.dt_rank,
                                                .bias = s.bias,
                                                .conv_bias = s.conv_bias,
                                                .variant = "cyclic"});
  const std::string own = concat("conv", dims, "d");
  const auto convolution = mixer->named_children()[own];
  mixer->unregister_module(own);
  static_cast<torch::nn::Module&>(*mixer)
      .register_module("convnd", std::make_shared<torch::nn::Module>())
      ->register_module("conv", convolution);
  return mixer;
}

/// y + path(mixer(norm(y))), y = gsc(x). Prefixes "gsc", "ln_1", "self_attention".
class SsndBlock : public Layer {
 public:
  SsndBlock(int64_t dims, const Ss2dSettings& mixer, double drop_path = 0, double norm_eps = 1e-5)
      : gsc_(register_module("gsc", std::make_shared<GatedSpatialConvs>(dims, mixer.width))),
        norm_(register_module("ln_1", std::make_shared<LayerNorm>(mixer.width, norm_eps))),
        mixer_(register_module("self_attention", ssnd_mixer(dims, mixer))),
        path_(register_module("drop_path", std::make_shared<DropPath>(drop_path))) {}
  /// x (B, spatial..., width) -> the same sizes
  Tensor forward(const Tensor& x) override {
    const Tensor y = gsc_->forward(x.movedim(-1, 1)).movedim(1, -1);
    return y + path_->forward(mixer_->forward(norm_->forward(y)));
  }

 private:
  std::shared_ptr<GatedSpatialConvs> gsc_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Layer> mixer_;
  std::shared_ptr<DropPath> path_;
};

/// One behind the other. Prefix "blocks".
class SsndStage : public Layer {
 public:
  SsndStage(int64_t width, int64_t states, const std::vector<double>& drop_path) {
    for (const double chance : drop_path)
      blocks_.push_back(
          std::make_shared<SsndBlock>(2, Ss2dSettings{.width = width, .states = states}, chance));
    register_list(*this, "blocks", blocks_);
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = x;
    for (const auto& block : blocks_) y = block->forward(y);
    return y;
  }

 private:
  std::vector<std::shared_ptr<SsndBlock>> blocks_;
};

struct MuSettings {
  int64_t in, mid, out, levels, halvings = 0;
  int64_t states = 16;
  double drop_path = 0;
  bool unused = true;
  bool adds_input = true;
};

std::shared_ptr<ScanU> gated_u(const MuSettings& s) {
  constexpr int64_t kDepth = 2;  // blocks a level in the encoder
  const std::vector<double> rising = rising_drop_path(kDepth * s.levels, s.drop_path),
                            falling = scan_u_falling_drop_path(s.levels, kDepth, s.drop_path);
  ScanUParts parts{s.in, s.mid, s.out, s.levels, s.halvings};
  if (s.adds_input) parts.read = separable_conv(2, s.in, s.out);
  parts.scans = [&](int64_t level, bool decoder) {
    std::vector<double> chances{rising.begin() + kDepth * level, rising.begin() + kDepth * (level + 1)};
    if (decoder) chances = {falling[static_cast<size_t>(s.levels - 2 - level)]};
    return std::make_shared<SsndStage>(s.mid, s.states, chances);
  };
  parts.unused = s.unused;
  return std::make_shared<ScanU>(parts);
}

X2NetParts parts(const Ssnd2NetSettings& s) {
  return {
      .stage = [s](int64_t number, bool, int64_t in, int64_t out) -> std::shared_ptr<Layer> {
        const int64_t levels = std::max<int64_t>(8 - number, 4);
        const int64_t mid = s.even ? s.mid : s.mid << std::min<int64_t>(number - 1, 4);
        const int64_t halvings = number < 5 ? s.halvings(number - 1, levels) : 0;
        return gated_u({in, mid, out, levels, halvings, s.states, s.drop_path, s.unused});
      },
      .merging = [](int64_t, int64_t in,
                    int64_t out) { return std::make_shared<GridMerging>(scan_u_merging(in, out)); },
      .expanding = [](int64_t, int64_t in, int64_t out) { return std::make_shared<GridExpanding>(in, out); },
      .last_merging = 5,
      .first_expanding = 5,
      .joins_even = true};
}

class Ssnd2Net : public X2Net {
 public:
  explicit Ssnd2Net(const Ssnd2NetSettings& s)
      : X2Net(s, parts(s)), multiple_(int64_t{1} << std::max<int64_t>(s.halvings(0, 7), 5)) {
    start_convolutions();
  }
  Extent size_multiples() const override { return cube(2, multiple_); }

 private:
  int64_t multiple_;
};

Json official_settings(const Json& a) {
  Ssnd2NetSettings s;
  require_plane(a);
  read_x2net_arguments(a, s);
  s.patch = argument(a, "input_patch_size", s.patch);
  return to_json(s);
}

Json official_small_settings(const Json& a) {
  Json settings = official_settings(a);
  settings.update({{"even", true}, {"width", 64}});
  return settings;
}

/// Convolutions that MONAI wraps there are plain here.
std::string our_name(const std::string& official) {
  static const std::regex wrapped(R"((.*patch_embed\.proj|.*seg_layers\.\d+|side\d|outconv)\.conv\.(\w+))");
  return std::regex_replace(official, wrapped, "$1.$2");
}

std::shared_ptr<torch::nn::Module> official_block(const Json& a) {
  const int64_t dims = a.at("spatial_dims");
  if (dims != 2 && dims != 3) throw UsageError(concat("spatial_dims: expected 2 or 3, got ", dims));
  Ss2dSettings mixer{.width = a.at("hidden_dim")};
  mixer.states = argument(a, "d_state", mixer.states);
  mixer.conv_kernel = argument(a, "d_conv", mixer.conv_kernel);
  mixer.expand = argument(a, "expand", mixer.expand);
  if (a.contains("dt_rank") && a["dt_rank"].is_number()) mixer.dt_rank = a["dt_rank"];  // else "auto"
  mixer.bias = argument(a, "bias", mixer.bias);
  mixer.conv_bias = argument(a, "conv_bias", mixer.conv_bias);
  // 1e-6 is the default of the official block; the layers above pass 1e-5.
  return std::make_shared<SsndBlock>(dims, mixer, 0, 1e-6);
}

std::shared_ptr<torch::nn::Module> official_u(const Json& a) {
  require_plane(a);
  MuSettings mu{a.at("in_ch"), a.at("mid_ch"), a.at("out_ch"), a.at("n_layers")};
  if (const auto patch = argument<Extent>(a, "input_patch_size", {}); !patch.empty())
    while (mu.halvings + 1 < mu.levels && (patch[0] >> mu.halvings) % 2 == 0) ++mu.halvings;
  mu.adds_input = argument(a, "add_last", false);
  return gated_u(mu);
}

}  // namespace

NetworkEntry ssnd2net_entry() {
  return hybrid_entry<Ssnd2NetSettings>(
      {.name = "ssnd2net",
       .dims = {2},
       .source = kX2NetSource,
       .summary = "SSND2Net: U2-Net of U-Nets of selective scans behind gated spatial convolutions",
       .parameters = 41'328'239,
       .small = R"({"classes": 3, "even": true, "width": 16, "mid": 32, "states": 2, "patch": [32, 32],
                    "drop_path": 0.0, "unused": false})",
       .small_edge = 64,
       .official = {{kX2NetRepository, "SSND2Net", official_settings, nullptr, our_name},
                    {kX2NetRepository, "SSND2NetP", official_small_settings, nullptr, our_name}},
       .blocks = {{kX2NetRepository, {"VSSBlock (ssnd2net)"}, official_block},
                  {kX2NetRepository, {"MU (ssnd2net)"}, official_u, nullptr, our_name}}},
      [](const Ssnd2NetSettings& s) {
        s.check();
        return std::make_shared<Ssnd2Net>(s);
      });
}

}  // namespace mambaseg
