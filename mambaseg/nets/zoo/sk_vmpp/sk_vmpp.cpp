// SK-VM++: Mamba assists skip-connections for medical image segmentation (Wu et al. 2025), after its public
// code, whose module names it keeps: an encoder of Res2Net-50 (v1b, 26 wide, 4 scales), five maps of it of 64
// channels, which are added to their coarser neighbours, and the sums to theirs, until one is left (PVM
// layers behind every sum); each level adds up what stands on it, and a decoder of convolutions adds the
// levels. The two finest maps are of one size. There the encoder starts from ImageNet weights; here from
// random ones, as long as none are loaded.

#include "mambaseg/nets/blocks/pvm_layer.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

constexpr size_t kLevels = 5;
constexpr int64_t kSplits = 4;
constexpr int64_t kExpansion = 4;  // of a residual block's result

struct SkVmppSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  int64_t planes = 64;
  std::vector<int64_t> depths{3, 4, 6, 3};
  int64_t width = 64;
  int64_t states = 16;
  bool unused = true;
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("planes", planes, "channels of the encoder's stem; its stages have 4, 8, 16 and 32 times as many",
          at_least(3));
    visit("depths", depths, "residual blocks in the encoder's four stages", at_least(1));
    visit("width", width, "channels of the skips and the decoder, a multiple of 4", at_least(4));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("unused", unused,
          "keep the classifier of the encoder, which no score depends on; the official files of weights hold "
          "it");
  }
};

std::shared_ptr<BatchNorm> norm(int64_t channels) { return std::make_shared<BatchNorm>(channels); }
std::shared_ptr<Convolution> plain_conv(int64_t in, int64_t out, int64_t edge, int64_t stride = 1) {
  return conv(2, in, out, edge, {.stride = cube(2, stride), .bias = false});
}
std::shared_ptr<Sequence> conv_norm_relu(int64_t in, int64_t out) {
  return sequence({conv(2, in, out, 3), norm(out), relu()});
}

/// Means of windows where the stride leaves pixels out; rests at the border count as they are.
class ShortcutPool : public Layer {
 public:
  explicit ShortcutPool(int64_t edge) : edge_(edge) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    if (edge_ == 1) return x;
    return torch::avg_pool2d(x, edge_, edge_, 0, /*ceil_mode=*/true, /*count_include_pad=*/false);
  }

 private:
  int64_t edge_;
};

struct Res2NetSettings {
  int64_t in = 64, planes = 64, stride = 1;
  bool first = true;  ///< of a stage: splits by themselves, the last pooled, and a projected shortcut
  int64_t base_width = 26;
};

/// Residual block of Res2Net (Gao et al. 2019): 1x1, four splits of the channels, of which three are
/// convolved, each with the result of the one before added, 1x1, plus the input. Prefixes "conv1", "bn1",
/// "convs", "bns", "conv3", "bn3", "downsample".
class Res2NetBlock : public Layer {
 public:
  explicit Res2NetBlock(const Res2NetSettings& s) : settings_(s) {
    const int64_t width = s.planes * s.base_width / 64, out = kExpansion * s.planes;
    conv1_ = register_module("conv1", plain_conv(s.in, kSplits * width, 1));
    bn1_ = register_module("bn1", norm(kSplits * width));
    for (int64_t i = 0; i + 1 < kSplits; ++i) {
      convs_.push_back(plain_conv(width, width, 3, s.stride));
      bns_.push_back(norm(width));
    }
    register_list(*this, "convs", convs_);
    register_list(*this, "bns", bns_);
    conv3_ = register_module("conv3", plain_conv(kSplits * width, out, 1));
    bn3_ = register_module("bn3", norm(out));
    if (s.first)
      downsample_ = register_module("downsample", sequence({std::make_shared<ShortcutPool>(s.stride),
                                                            plain_conv(s.in, out, 1), norm(out)}));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const Epilogue to_relu{Activation::relu, {}};
    std::vector<torch::Tensor> parts = normed(*conv1_, *bn1_, x, to_relu).chunk(kSplits, 1);
    for (size_t i = 0; i < convs_.size(); ++i) {
      const bool chained = !settings_.first && i > 0;
      parts[i] = normed(*convs_[i], *bns_[i], chained ? parts[i] + parts[i - 1] : parts[i], to_relu);
    }
    if (settings_.first) parts.back() = torch::avg_pool2d(parts.back(), 3, settings_.stride, 1);
    return normed(*conv3_, *bn3_, torch::cat(parts, 1),
                  {Activation::relu, downsample_ ? downsample_->forward(x) : x});
  }

 private:
  Res2NetSettings settings_;
  std::shared_ptr<Convolution> conv1_, conv3_;
  std::shared_ptr<BatchNorm> bn1_, bn3_;
  std::vector<std::shared_ptr<Convolution>> convs_;
  std::vector<std::shared_ptr<BatchNorm>> bns_;
  std::shared_ptr<Sequence> downsample_;  ///< or null
};

/// Res2Net-50 with a stem of three convolutions. Prefixes "conv1", "bn1", "layer1" to "layer4", "fc".
class Res2Net : public Module {
 public:
  explicit Res2Net(const SkVmppSettings& s) {
    const int64_t p = s.planes, half = p / 2;
    stem_ = register_module(
        "conv1", sequence({plain_conv(s.in_channels, half, 3, 2), norm(half), relu(),
                           plain_conv(half, half, 3), norm(half), relu(), plain_conv(half, p, 3)}));
    bn1_ = register_module("bn1", norm(p));
    int64_t in = p;
    for (size_t i = 0; i < s.depths.size(); ++i) {
      auto stage = sequence({});
      for (int64_t j = 0; j < s.depths[i]; ++j) {
        stage->push_back(
            std::make_shared<Res2NetBlock>(Res2NetSettings{in, p << i, i > 0 && j == 0 ? 2 : 1, j == 0}));
        in = kExpansion * (p << i);
      }
      stages_.push_back(register_module("layer" + std::to_string(i + 1), stage));
    }
    if (s.unused) register_module("fc", std::make_shared<Linear>(in, 1000));
  }
  /// Finest first: behind the stem's pooling, behind each stage.
  std::vector<torch::Tensor> forward(const torch::Tensor& x) {
    std::vector<torch::Tensor> maps{
        torch::max_pool2d(bn1_->run(stem_->forward(x), {Activation::relu, {}}), 3, 2, 1)};
    for (const auto& stage : stages_) maps.push_back(stage->forward(maps.back()));
    return maps;
  }

 private:
  std::shared_ptr<Sequence> stem_;
  std::shared_ptr<BatchNorm> bn1_;
  std::vector<std::shared_ptr<Sequence>> stages_;
};

torch::Tensor resized_like(const torch::Tensor& x, const torch::Tensor& other) {
  return linear_resized(x, spatial_size(other));
}

class SkVmpp : public Network {
 public:
  explicit SkVmpp(const SkVmppSettings& s) {
    if (s.depths.size() != kLevels - 1)
      throw UsageError(concat("depths: expected 4 numbers, got ", s.depths.size()));
    const int64_t w = s.width;
    const auto mixed = [&](const std::string& name) {
      return register_module(
          name, sequence({std::make_shared<PvmLayer>(PvmSettings{.in = w, .out = w, .states = s.states}),
                          norm(w), relu()}));
    };
    encoder_ = register_module("resnet", std::make_shared<Res2Net>(s));
    for (size_t i = 0; i < kLevels; ++i) {
      const int64_t channels = i == 0 ? s.planes : kExpansion * (s.planes << (i - 1));
      narrow_.push_back(register_module("x" + std::to_string(i + 1) + "_dem_1", conv_norm_relu(channels, w)));
      if (i + 1 == kLevels) bottom_ = register_module("x5_dem_5", conv_norm_relu(channels, w));
    }
    for (size_t count = 1; count < kLevels; ++count) {  // of differences in a name: x5_x4, then x5_x4_x3, ...
      sums_.emplace_back();
      for (size_t low = 1; low + count <= kLevels; ++low) {
        std::string name = "x" + std::to_string(low + count);
        for (size_t i = low + count - 1; i >= low; --i) name += "_x" + std::to_string(i);
        sums_.back().push_back(mixed(name));
      }
    }
    for (size_t i = 1; i < kLevels; ++i) levels_.push_back(mixed("level" + std::to_string(i)));
    outputs_.push_back(register_module("output1", sequence({conv(2, w, s.classes, 3)})));
    for (size_t i = 2; i < kLevels; ++i)
      outputs_.push_back(register_module("output" + std::to_string(i), conv_norm_relu(w, w)));
  }
  Extent size_multiples() const override { return cube(2, 1); }
  Extent least_sizes() const override { return cube(2, 32); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& input) override {
    const std::vector<torch::Tensor> maps = encoder_->forward(input);
    std::vector<torch::Tensor> row;  // of what stands on each level after ever more sums, finest first
    for (size_t i = 0; i < kLevels; ++i) row.push_back(narrow_[i]->forward(maps[i]));
    std::vector<torch::Tensor> levels(row.begin(), row.end() - 1);
    for (const auto& sums : sums_) {
      std::vector<torch::Tensor> next;
      for (size_t i = 0; i < sums.size(); ++i) {
        next.push_back(sums[i]->forward(torch::abs(resized_like(row[i + 1], row[i]) + row[i])));
        levels[i] = levels[i] + next.back();
      }
      row = next;
    }
    torch::Tensor x = bottom_->forward(maps.back());
    for (size_t i = levels.size(); i-- > 0;) {
      const torch::Tensor level = levels_[i]->forward(levels[i]);
      x = outputs_[i]->forward(resized_like(x, level) + level);
    }
    return {resized_like(x, input)};
  }

 private:
  std::shared_ptr<Res2Net> encoder_;
  std::vector<std::shared_ptr<Sequence>> narrow_;             ///< finest first, as the others
  std::vector<std::vector<std::shared_ptr<Sequence>>> sums_;  ///< by how many sums lie behind
  std::vector<std::shared_ptr<Sequence>> levels_, outputs_;
  std::shared_ptr<Sequence> bottom_;
};

Json official_settings(const Json&) { return to_json(SkVmppSettings{}); }

std::shared_ptr<torch::nn::Module> official_block(const Json& a) {
  const bool first = argument<std::string>(a, "stype", "normal") == "stage";
  return std::make_shared<Res2NetBlock>(Res2NetSettings{a.at("inplanes"), a.at("planes"),
                                                        argument<int64_t>(a, "stride", 1), first,
                                                        argument<int64_t>(a, "baseWidth", 26)});
}

constexpr const char* kRepository = "wurenkai/SK-VMPlusPlus";

}  // namespace

NetworkEntry sk_vmpp_entry() {
  return hybrid_entry<SkVmppSettings>(
      {.name = "sk_vmpp",
       .dims = {2},
       .source = "Wu et al.: SK-VM++: Mamba assists skip-connections for medical image segmentation, 2025; "
                 "github.com/wurenkai/SK-VMPlusPlus",
       .summary = "Res2Net encoder, skips added to their coarser neighbours again and again with PVM layers "
                  "between",
       .parameters = 29'368'479,
       .small = R"({"classes": 3, "planes": 6, "depths": [1, 2, 1, 1], "width": 8, "states": 4,
                    "unused": false})",
       .small_edge = 64,
       .official = {{kRepository, "SKVMPlusPlus", official_settings}},
       .blocks = {{kRepository, {"Bottle2neck"}, official_block}}},
      [](const SkVmppSettings& s) { return std::make_shared<SkVmpp>(s); });
}

}  // namespace mambaseg
