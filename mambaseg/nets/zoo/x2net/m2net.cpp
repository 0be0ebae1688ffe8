// SS2D2Net (M2Net in its code; nnUZoo, 2025), whose module names it keeps: U2-Net whose four finest scales
// are Us of selective scans, with merging and expanding of patches between the scales. `even` is its small
// variant (M2NetP), there with a width of 64. As in the original, the Us' own skips of the last two levels
// share a grid. Each U has heads of its coarser levels that nothing passes; `unused` says whether they are
// kept.

#include "mambaseg/nets/blocks/vss_encoder.h"
#include "mambaseg/nets/blocks/x2net.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct M2NetSettings : X2NetSettings {
  int64_t mid = 16;
  int64_t states = 16;
  bool unused = true;

  void describe(SettingsVisitor& visit) {
    X2NetSettings::describe(visit);
    visit("mid", mid, "channels inside the finest U; doubled from scale to scale unless even", at_least(4));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("unused", unused, "keep the heads of the official class that nothing passes");
  }
};

struct ScanUSettings {
  int64_t in, mid, out, levels;
  int64_t states = 16;
  bool unused = true;
};

GridMerging::Settings merging(int64_t in, int64_t out) {
  return {in, out, {2, 2}, /*columns_first=*/true, /*pads=*/false};
}

/// A residual U of selective scans: a block a level, one grid for the last two. Prefixes "vssm_encoder",
/// "vssm_decoder" with those of Swin-UMamba within.
class ScanU : public Layer {
 public:
  explicit ScanU(const ScanUSettings& s) {
    const auto encoder = register_module("vssm_encoder", std::make_shared<torch::nn::Module>());
    const auto decoder = register_module("vssm_decoder", std::make_shared<torch::nn::Module>());
    const auto scans = [&] { return std::make_shared<VssStage>(s.mid, s.states, std::vector<double>{0}); };
    in_ = encoder->register_module("rebnconvin", std::make_shared<U2Conv>(s.in, s.out));
    embed_ = encoder->register_module("patch_embed", std::make_shared<PatchEmbed2d>(s.out, s.mid, 1));
    std::vector<std::shared_ptr<Convolution>> heads;
    for (int64_t level = 0; level < s.levels; ++level) {
      const bool last = level + 1 == s.levels;
      down_.push_back(scans());
      if (level + 2 < s.levels) merging_.push_back(std::make_shared<GridMerging>(merging(s.mid, s.mid)));
      std::shared_ptr<GridExpanding> expanding;
      if (last)
        expanding = std::make_shared<GridExpanding>(s.mid, 0, Extent{1, 1});
      else if (level > 0)
        expanding = std::make_shared<GridExpanding>(s.mid, s.mid);
      expanding_.push_back(expanding);
      heads.push_back(last || s.unused ? conv(2, s.mid, s.out, 1) : nullptr);
      if (last) break;
      join_.push_back(std::make_shared<Linear>(2 * s.mid, s.mid));
      up_.push_back(scans());
    }
    head_ = heads.back();
    register_list(*encoder, "layers", down_);
    register_list(*encoder, "downsamples", merging_);
    register_list(*decoder, "stages", up_);
    register_list(*decoder, "expand_layers", expanding_);
    register_list(*decoder, "seg_layers", heads);
    register_list(*decoder, "concat_back_dim", join_);
  }
  Tensor forward(const Tensor& input) override {
    const auto last = [](const Tensor& x) { return x.permute({0, 2, 3, 1}); };
    const auto first = [](const Tensor& x) { return x.permute({0, 3, 1, 2}); };
    const Tensor whole = in_->forward(input);
    std::vector<Tensor> skips;  // channels last
    Tensor x = embed_->forward(whole);
    for (size_t level = 0; level < down_.size(); ++level) {
      skips.push_back(down_[level]->forward(x));
      x = level < merging_.size() ? last(merging_[level]->forward(first(skips.back()))) : skips.back();
    }
    for (size_t i = 0; i < up_.size(); ++i) {
      if (expanding_[i]) x = last(expanding_[i]->forward(first(x)));
      x = up_[i]->forward(join_[i]->forward(torch::cat({x, skips[up_.size() - 1 - i]}, -1)));
    }
    return head_->run(expanding_.back()->forward(first(x)), {Activation::none, whole});
  }

 private:
  std::shared_ptr<U2Conv> in_;
  std::shared_ptr<PatchEmbed2d> embed_;
  std::vector<std::shared_ptr<VssStage>> down_, up_;       ///< finest first; coarsest first
  std::vector<std::shared_ptr<GridMerging>> merging_;      ///< finest first
  std::vector<std::shared_ptr<GridExpanding>> expanding_;  ///< coarsest first, the first null
  std::vector<std::shared_ptr<Linear>> join_;              ///< coarsest first
  std::shared_ptr<Convolution> head_;
};

X2NetParts parts(const M2NetSettings& s) {
  return {.stage = [s](int64_t number, bool, int64_t in, int64_t out) -> std::shared_ptr<Layer> {
            const int64_t mid = s.even ? s.mid : s.mid << (number - 1);
            if (number >= 5) return std::make_shared<ResidualU>(0, in, s.even ? s.mid : 8 * s.width, out);
            return std::make_shared<ScanU>(ScanUSettings{in, mid, out, 8 - number, s.states, s.unused});
          },
          .merging = [](int64_t, int64_t in,
                        int64_t out) { return std::make_shared<GridMerging>(merging(in, out)); },
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
       .small = R"({"classes": 3, "even": true, "width": 16, "mid": 32, "states": 2, "unused": false})",
       .small_edge = 32,
       .official = {{kX2NetRepository, "M2Net", official_settings},
                    {kX2NetRepository, "M2NetP", official_small_settings}},
       .blocks = {{kX2NetRepository,
                   {"MU"},
                   [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
                     return std::make_shared<ScanU>(
                         ScanUSettings{a.at("in_ch"), a.at("mid_ch"), a.at("out_ch"), a.at("n_layers")});
                   }}}},
      [](const M2NetSettings& s) { return std::make_shared<M2Net>(s); });
}

}  // namespace mambaseg
