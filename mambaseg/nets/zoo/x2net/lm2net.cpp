// AltM2Net (LM2Net in its code; nnUZoo, 2025), whose module names it keeps: U2-Net whose four finest scales
// are LightM-UNets that read tokens by rows and by columns in turn. `even` is its small variant (LM2NetP),
// there with a width of 64. How often the grid is halved follows from `patch`, the size that the network is
// made for: along each axis while the size is even and 8 (inside a LightM-UNet 4) are left. The coarsest
// scales' convolutions are separable and, as in the original, not dilated.

#include "mambaseg/nets/blocks/lightm_blocks.h"
#include "mambaseg/nets/blocks/x2net.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct Lm2NetSettings : X2NetSettings {
  int64_t mid = 32;
  Extent patch{320, 192};
  bool shallow_decoder = false;

  void describe(SettingsVisitor& visit) {
    X2NetSettings::describe(visit);
    visit("mid", mid,
          "channels inside the LightM-UNets, a multiple of 8; unless even those of the two finest scales, "
          "doubled "
          "from there on, and half as many at the decoder's finest, a multiple of 8",
          at_least(8));
    visit("patch", patch, "input size the network is made for: rows and columns", at_least(8));
    visit("shallow_decoder", shallow_decoder,
          "the decoder's two finest scales halve their grid as if it were the third's: a mistake of the "
          "original's "
          "small class");
  }
};

/// By what each of the next `count` levels divides a grid, which is halved while it is even and `least` are
/// left.
std::vector<Extent> scales_of(Extent grid, int64_t count, int64_t least) {
  std::vector<Extent> scales;
  for (; count > 0; --count) {
    scales.emplace_back();
    for (int64_t& size : grid) {
      scales.back().push_back(size % 2 == 0 && size / 2 >= least ? 2 : 1);
      size /= scales.back().back();
    }
  }
  return scales;
}

/// Of all of them along each axis.
Extent product(const std::vector<Extent>& scales) {
  Extent all(2, 1);
  for (const Extent& scale : scales)
    for (size_t axis = 0; axis < 2; ++axis) all[axis] *= scale[axis];
  return all;
}

/// y + mamba(relu(norm(mamba(relu(norm(y)))))), y = gsc(x). Prefixes "gsc", "norm1", "mamba1", "norm2",
/// "mamba2".
class ResMambaBlock : public Layer {
 public:
  ResMambaBlock(int64_t width, bool by_columns)
      : by_columns_(by_columns),
        gsc_(register_module("gsc", std::make_shared<GatedSpatialConvs>(2, width))),
        norm1_(register_module("norm1", std::make_shared<GroupNorm>(kLightmGroups, width))),
        norm2_(register_module("norm2", std::make_shared<GroupNorm>(kLightmGroups, width))),
        mamba1_(register_module("mamba1", rvm_layer(2, width, width))),
        mamba2_(register_module("mamba2", rvm_layer(2, width, width))) {}
  Tensor forward(const Tensor& input) override {
    const Tensor x = gsc_->forward(input);
    const Tensor y = read(*mamba1_, norm1_->run(x, {Activation::relu, {}}));
    return x + read(*mamba2_, norm2_->run(y, {Activation::relu, {}}));
  }

 private:
  Tensor read(Layer& mamba, const Tensor& x) const {
    return by_columns_ ? mamba.forward(x.transpose(2, 3)).transpose(2, 3) : mamba.forward(x);
  }

  bool by_columns_;
  std::shared_ptr<GatedSpatialConvs> gsc_;
  std::shared_ptr<GroupNorm> norm1_, norm2_;
  std::shared_ptr<PvmLayer> mamba1_, mamba2_;
};

/// A LightM-UNet of one width plus a separable convolution of its input. Prefixes "rebnconvin", "convInit",
/// "down_layers", "up_samples", "up_layers", "conv_final".
class LightU : public Layer {
 public:
  LightU(int64_t in, int64_t mid, int64_t out, int64_t levels, const Extent& grid)
      : scales_(scales_of(grid, levels - 1, 4)) {
    const auto holder = [](std::shared_ptr<Layer> layer, const char* name) {
      const auto outer = std::make_shared<torch::nn::Module>();
      outer->register_module(name, std::move(layer));
      return outer;
    };
    around_ = register_module("rebnconvin", separable_conv(2, in, out));
    stem_ = register_module("convInit", separable_conv(2, in, mid));
    std::vector<std::shared_ptr<torch::nn::Module>> down, up, narrow;
    for (int64_t level = 0; level < levels; ++level) {
      down_.push_back(std::make_shared<ResMambaBlock>(mid, level % 2 == 1));
      down.push_back(holder(down_.back(), "1"));
      if (level == 0) continue;
      up_.push_back(std::make_shared<ScaledConvBlock>(2, mid));
      up.push_back(holder(up_.back(), "0"));
      narrow_.push_back(conv(2, mid, mid, 1, {.bias = false}));
      narrow.push_back(std::make_shared<torch::nn::Module>());
      narrow.back()
          ->register_module("0", std::make_shared<torch::nn::Module>())
          ->register_module("conv", narrow_.back());
    }
    register_list(*this, "down_layers", down);
    register_list(*this, "up_layers", up);
    register_list(*this, "up_samples", narrow);
    head_ = register_module("conv_final", sequence({std::make_shared<GroupNorm>(kLightmGroups, mid), relu(),
                                                    separable_conv(2, mid, out, 1, true)}));
  }
  Tensor forward(const Tensor& input) override {
    std::vector<Tensor> skips;
    Tensor x = stem_->forward(input);
    for (size_t level = 0; level < down_.size(); ++level) {
      if (level > 0) x = torch::max_pool2d(x, scales_[level - 1], scales_[level - 1]);
      skips.push_back(x = down_[level]->forward(x));
    }
    for (size_t i = 0; i < up_.size(); ++i) {
      const Tensor& skip = skips[up_.size() - 1 - i];
      const Tensor narrow = narrow_[i]->forward(x);
      x = up_[i]->forward(skip + linear_resized(narrow, spatial_size(skip)));
    }
    return head_->forward(x) + around_->forward(input);
  }

 private:
  std::vector<Extent> scales_;
  std::shared_ptr<Sequence> around_, stem_, head_;
  std::vector<std::shared_ptr<ResMambaBlock>> down_;  ///< finest first
  std::vector<std::shared_ptr<ScaledConvBlock>> up_;  ///< coarsest first
  std::vector<std::shared_ptr<Convolution>> narrow_;  ///< coarsest first
};

X2NetParts parts(const Lm2NetSettings& s) {
  const std::vector<Extent> scales = scales_of(s.patch, 4, 8);
  const auto scale = [scales](int64_t number) { return scales[static_cast<size_t>(number - 1)]; };
  return {
      .stage = [s, scales](int64_t number, bool decoder, int64_t in, int64_t out) -> std::shared_ptr<Layer> {
        if (number >= 5) {
          const int64_t mid = s.even ? (decoder ? 2 : 1) * s.mid : 8 * s.width;
          return std::make_shared<ResidualU>(0, in, mid, out, /*separable=*/true);
        }
        int64_t mid = s.mid;
        if (!s.even) mid = number == 1 && decoder ? s.mid / 2 : s.mid << std::max<int64_t>(number - 2, 0);
        const int64_t halved = decoder && s.shallow_decoder ? std::max<int64_t>(number - 1, 2) : number - 1;
        const Extent before = product({scales.begin(), scales.begin() + halved});
        return std::make_shared<LightU>(in, mid, out, 8 - number,
                                        Extent{s.patch[0] / before[0], s.patch[1] / before[1]});
      },
      .merging =
          [scale](int64_t number, int64_t in, int64_t out) {
            return std::make_shared<GridMerging>(GridMerging::Settings{in, out, scale(number)});
          },
      .expanding = [scale](int64_t number, int64_t in,
                           int64_t out) { return std::make_shared<GridExpanding>(in, out, scale(number)); },
      .pointwise_heads = true};
}

class Lm2Net : public X2Net {
 public:
  explicit Lm2Net(const Lm2NetSettings& s) : X2Net(s, parts(s)), patch_(s.patch) { start_convolutions(); }
  Extent size_multiples() const override { return product(scales_of(patch_, 4, 8)); }
  Extent least_sizes() const override { return patch_; }

 private:
  Extent patch_;
};

Json official_settings(const Json& a) {
  Lm2NetSettings s;
  require_plane(a);
  read_x2net_arguments(a, s);
  s.patch = argument(a, "input_patch_size", s.patch);
  return to_json(s);
}

Json official_small_settings(const Json& a) {
  Json settings = official_settings(a);
  settings.update({{"even", true}, {"width", 64}, {"shallow_decoder", true}});
  return settings;
}

}  // namespace

NetworkEntry lm2net_entry() {
  using Part = std::shared_ptr<torch::nn::Module>;
  return hybrid_entry<Lm2NetSettings>(
      {.name = "lm2net",
       .dims = {2},
       .source = kX2NetSource,
       .summary = "AltM2Net: U2-Net whose finer scales are LightM-UNets that read rows and columns in turn",
       .parameters = 9'311'784,
       .small = R"({"classes": 3, "even": true, "width": 16, "mid": 16, "patch": [16, 16]})",
       .small_edge = 16,
       .official = {{kX2NetRepository, "LM2Net", official_settings},
                    {kX2NetRepository, "LM2NetP", official_small_settings}},
       .blocks = {{kX2NetRepository,
                   {"LightMUNet"},
                   [](const Json& a) -> Part {
                     return std::make_shared<LightU>(
                         a.at("in_ch").get<int64_t>(), a.at("mid_ch").get<int64_t>(),
                         a.at("out_ch").get<int64_t>(), a.at("n_layers").get<int64_t>(),
                         a.at("input_patch_size").get<Extent>());
                   }},
                  {kX2NetRepository,
                   {"ResMambaBlock"},
                   [](const Json& a) -> Part {
                     return std::make_shared<ResMambaBlock>(a.at("in_channels").get<int64_t>(),
                                                            a.at("order") == "w h");
                   }}}},
      [](const Lm2NetSettings& s) {
        if (s.patch.size() != 2)
          throw UsageError(concat("patch: expected rows and columns, got ", s.patch.size(), " numbers"));
        return std::make_shared<Lm2Net>(s);
      });
}

}  // namespace mambaseg
