// SS2D2Net (M2Net in its code; nnUZoo, 2025), whose module names it keeps: U2-Net whose four finest scales
// are Us of selective scans, with merging and expanding of patches between the scales. `even` is its small
// variant (M2NetP), there with a width of 64. As in the original, the Us' own skips of the last two levels
// share a grid. Each U has heads of its coarser levels that nothing passes; `unused` says whether they are
// kept.

#include "mambaseg/nets/blocks/scan_u.h"
#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

struct M2NetSettings : X2NetSettings {
  int64_t mid = 16;
  int64_t states = 16;
  double drop_path = 0.2;
  bool unused = true;

  void describe(SettingsVisitor& visit) {
    X2NetSettings::describe(visit);
    visit("mid", mid, "channels inside the finest U; doubled from scale to scale unless even", at_least(4));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("drop_path", drop_path,
          "training: chance that a U's deepest block leaves its branch out for a sample; falls to 0 towards "
          "its "
          "finest level",
          between(0, 1));
    visit("unused", unused, "keep the heads of the official class that nothing passes");
  }
};

struct MuSettings {
  int64_t in, mid, out, levels;
  int64_t states = 16;
  double drop_path = 0;
  bool unused = true;
  bool adds_input = true;
  bool shares_last_grid = true;  ///< the last two levels have one grid
};

std::shared_ptr<ScanU> residual_u(const MuSettings& s) {
  const std::vector<double> rising = rising_drop_path(s.levels, s.drop_path),
                            falling = scan_u_falling_drop_path(s.levels, 1, s.drop_path);
  ScanUParts parts{s.in, s.mid, s.out, s.levels, s.levels - (s.shares_last_grid ? 2 : 1)};
  if (s.adds_input) parts.read = std::make_shared<U2Conv>(s.in, s.out);
  parts.scans = [&](int64_t level, bool decoder) {
    const double chance =
        decoder ? falling[static_cast<size_t>(s.levels - 2 - level)] : rising[static_cast<size_t>(level)];
    return std::make_shared<VssStage>(s.mid, s.states, std::vector<double>{chance});
  };
  parts.projects_last = true;
  parts.unused = s.unused;
  return std::make_shared<ScanU>(parts);
}

X2NetParts parts(const M2NetSettings& s) {
  return {.stage = [s](int64_t number, bool, int64_t in, int64_t out) -> std::shared_ptr<Layer> {
            const int64_t mid = s.even ? s.mid : s.mid << (number - 1);
            if (number >= 5) return std::make_shared<ResidualU>(0, in, s.even ? s.mid : 8 * s.width, out);
            return residual_u({in, mid, out, 8 - number, s.states, s.drop_path, s.unused});
          },
          .merging = [](int64_t, int64_t in,
                        int64_t out) { return std::make_shared<GridMerging>(scan_u_merging(in, out)); },
          .expanding = [](int64_t, int64_t in, int64_t) { return std::make_shared<GridExpanding>(in); }};
}

class M2Net : public X2Net {
 public:
  explicit M2Net(const M2NetSettings& s) : X2Net(s, parts(s)) { start_convolutions(); }
  Extent size_multiples() const override { return cube(2, 32); }
};

Json official_settings(const Json& a) {
  M2NetSettings s;
  read_x2net_arguments(a, s);
  return to_json(s);
}

Json official_small_settings(const Json& a) {
  Json settings = official_settings(a);
  settings.update({{"even", true}, {"width", 64}});
  return settings;
}

}  // namespace

NetworkEntry m2net_entry() {
  return hybrid_entry<M2NetSettings>(
      {.name = "m2net",
       .dims = {2},
       .source = kX2NetSource,
       .summary = "SS2D2Net: U2-Net whose finer scales are U-Nets of selective scans",
       .parameters = 40'926'662,
       .small = R"({"classes": 3, "even": true, "width": 16, "mid": 32, "states": 2, "drop_path": 0.0,
                    "unused": false})",
       .small_edge = 32,
       .official = {{kX2NetRepository, "M2Net", official_settings},
                    {kX2NetRepository, "M2NetP", official_small_settings}},
       .blocks = {{kX2NetRepository,
                   {"MU (nets/m2net)"},
                   [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
                     MuSettings mu{a.at("in_ch"), a.at("mid_ch"), a.at("out_ch"), a.at("n_layers")};
                     mu.adds_input = argument(a, "add_last", false);
                     mu.shares_last_grid = argument(a, "skip_last_downsample", false);
                     return residual_u(mu);
                   }},
                  {kX2NetRepository,
                   {"VSSBlock (nets/m2net)"},
                   [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
                     // 1e-6 is the default of the official block; the layers above pass 1e-5.
                     return std::make_shared<VssBlock2d>(
                         Ss2dSettings{.width = a.at("hidden_dim"),
                                      .states = argument<int64_t>(a, "d_state", 16)},
                         0, 1e-6);
                   }}}},
      [](const M2NetSettings& s) { return std::make_shared<M2Net>(s); });
}

}  // namespace mambaseg
