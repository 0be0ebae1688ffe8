// MobileViM: A Light-weight and Dimension-independent Vision Mamba for 3D Medical Image Analysis (Dai et al.
// 2025, arXiv 2502.13524), after the code that once was public, whose module names it keeps: in place of
// tokens of voxels, a Mamba-2 reads the means of a volume along each of its axes, and the outer product of
// what it makes of them is the global part of a block. A head lets every scale add to all coarser ones. As in
// that code, the first axis enters the product squared, and of a stack of Mamba-2 only what the last one
// gives is used, not the residual. Unlike there, scores have the size of the image (there an option's).

#include <algorithm>

#include "mambaseg/nets/blocks/mamba2.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

constexpr int64_t kDims = 3, kPatch = 2, kExpansion = 4;
constexpr double kBatchNormEps = 1e-3, kRmsNormEps = 1e-7;

/// Of a block.
struct MobileBlockSettings {
  int64_t width = 16;
  int64_t mambas = 3;
  int64_t states = 16;
  bool flipped_channels = false;
};

struct MobileVimSettings {
  int64_t in_channels = 1;
  int64_t classes = 3;
  std::vector<int64_t> widths{16, 48, 64, 80};
  std::vector<int64_t> mambas{3, 2, 4, 3};
  int64_t states = 16;
  bool flipped_channels = false;
  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes with background; 1 is foreground against background", at_least(1));
    visit("widths", widths,
          "channels of the scales, from half the resolution on, even; 16 24 48 64 (xx-small), 16 48 64 80 "
          "(x-small), 16 64 96 128 (small), 16 96 128 160 (medium)",
          at_least(2));
    visit("mambas", mambas, "Mamba-2 in the block of each scale", at_least(1));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("flipped_channels", flipped_channels,
          "the second direction of a Mamba-2 turns the channels of its projection round instead of the "
          "sequence, as published");
  }
};

int64_t multiple_of_8(double channels) {
  const auto rounded = std::max<int64_t>(8, static_cast<int64_t>(channels + 4) / 8 * 8);
  return static_cast<double>(rounded) < 0.9 * channels ? rounded + 8 : rounded;
}

/// Convolution, batch norm, activation. Prefixes "Conv", "Bn".
class ConvUnit : public Layer {
 public:
  ConvUnit(int64_t in, int64_t out, int64_t edge, Activation activation, int64_t stride = 1,
           int64_t groups = 1)
      : activation_(activation),
        conv_(register_module(
            "Conv",
            conv(kDims, in, out, edge, {.stride = cube(kDims, stride), .groups = groups, .bias = false}))),
        norm_(register_module("Bn", std::make_shared<BatchNorm>(out, kBatchNormEps))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return normed(*conv_, *norm_, x, {activation_, {}});
  }

 private:
  Activation activation_;
  std::shared_ptr<Convolution> conv_;
  std::shared_ptr<BatchNorm> norm_;
};

std::shared_ptr<ConvUnit> unit(int64_t in, int64_t out, int64_t edge, Activation activation,
                               int64_t stride = 1, int64_t groups = 1) {
  return std::make_shared<ConvUnit>(in, out, edge, activation, stride, groups);
}

/// A convolution with bias alone. Prefix "Conv".
class PlainUnit : public Layer {
 public:
  PlainUnit(int64_t in, int64_t out) : conv_(register_module("Conv", conv(kDims, in, out, 1))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return conv_->forward(x); }

 private:
  std::shared_ptr<Convolution> conv_;
};

/// Layers one after the other in a list of that name; a null one leaves its number out, as layers without
/// parameters do there.
class Chain : public Layer {
 public:
  Chain(const char* name, std::vector<std::shared_ptr<Layer>> layers) : layers_(std::move(layers)) {
    register_list(*this, name, layers_);
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor y = x;
    for (const auto& layer : layers_)
      if (layer) y = layer->forward(y);
    return y;
  }

 private:
  std::vector<std::shared_ptr<Layer>> layers_;
};

std::shared_ptr<Chain> chain(const char* name, std::vector<std::shared_ptr<Layer>> layers) {
  return std::make_shared<Chain>(name, std::move(layers));
}

/// Mamba-2 of the normed tokens (B, L, width). Prefixes "Norm", "Mamba".
class NormedMamba : public Layer {
 public:
  explicit NormedMamba(const Mamba2Settings& s)
      : norm_(register_module("Norm", std::make_shared<RmsNorm>(s.width, kRmsNormEps))),
        mamba_(register_module("Mamba", std::make_shared<Mamba2>(s))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return mamba_->forward(norm_->forward(x)); }

 private:
  std::shared_ptr<RmsNorm> norm_;
  std::shared_ptr<Mamba2> mamba_;
};

/// Local part f: depthwise convolution, 1x1 to half of the channels. Global part: the means of f along each
/// axis, two places a token, through the Mamba-2 stack; their outer product. x plus what 1x1 makes of both.
/// Prefixes "LocalRep", "GlobalRep", "ConvProj".
class MobileBlock : public Layer {
 public:
  explicit MobileBlock(const MobileBlockSettings& s) {
    const int64_t half = s.width / 2;
    local_ = {unit(s.width, s.width, 3, Activation::silu, 1, s.width), nullptr,
              std::make_shared<PlainUnit>(s.width, half)};
    register_list(*this, "LocalRep", local_);
    for (int64_t i = 0; i < s.mambas; ++i) {
      global_.push_back(nullptr);
      global_.push_back(std::make_shared<NormedMamba>(Mamba2Settings{
          .width = half * kPatch,
          .states = s.states,
          .second = s.flipped_channels ? SecondReading::flipped_channels : SecondReading::backwards}));
    }
    register_list(*this, "GlobalRep", global_);
    project_ = register_module("ConvProj", unit(2 * half, s.width, 1, Activation::none));
  }
  /// x (B, width, Z, Y, X), even sizes -> the same sizes
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor f = local_[2]->forward(local_[0]->forward(x));
    const torch::Tensor along_z = read(f.mean({3, 4})).unsqueeze(-1).unsqueeze(-1),
                        along_y = read(f.mean({2, 4})).unsqueeze(2).unsqueeze(-1),
                        along_x = read(f.mean({2, 3})).unsqueeze(2).unsqueeze(2);
    const torch::Tensor all = along_z * along_y * (along_z * along_x);
    return x + project_->forward(torch::cat({all, f}, 1));
  }

 private:
  /// Means along an axis (B, C, n) -> the same sizes.
  torch::Tensor read(const torch::Tensor& means) {
    const int64_t B = means.size(0), C = means.size(1), L = means.size(2) / kPatch;
    torch::Tensor h = means.reshape({B, C, L, kPatch}).transpose(1, 2).flatten(2), stream;
    for (size_t i = 1; i < global_.size(); i += 2) {
      stream = i == 1 ? h : h + stream;
      h = global_[i]->forward(stream);
    }
    return h.view({B, L, C, kPatch}).transpose(1, 2).flatten(2);
  }

  std::vector<std::shared_ptr<Layer>> local_, global_;
  std::shared_ptr<ConvUnit> project_;
};

/// Transposed convolution that doubles the grid, batch norm, ReLU. Prefixes "Conv", "Bn".
class GrowthUnit : public Layer {
 public:
  explicit GrowthUnit(int64_t channels)
      : conv_(register_module("Conv", std::make_shared<TransposedConvolution>(
                                          channels, channels, cube(kDims, 3),
                                          TransposedSettings{.stride = cube(kDims, 2),
                                                             .padding = cube(kDims, 1),
                                                             .output_padding = cube(kDims, 1),
                                                             .bias = false}))),
        norm_(register_module("Bn", std::make_shared<BatchNorm>(channels, kBatchNormEps))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return norm_->run(conv_->forward(x), {Activation::relu, {}});
  }

 private:
  std::shared_ptr<TransposedConvolution> conv_;
  std::shared_ptr<BatchNorm> norm_;
};

class MobileVim : public Network {
 public:
  explicit MobileVim(const MobileVimSettings& s);
  Extent size_multiples() const override { return cube(kDims, int64_t{2} << stages_.size()); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCZYX) override;

 private:
  std::shared_ptr<ConvUnit> stem_;
  std::vector<std::shared_ptr<Sequence>> stages_;           ///< finest first
  std::vector<std::shared_ptr<Chain>> widen_;               ///< of each scale by itself
  std::vector<std::vector<std::shared_ptr<Chain>>> guide_;  ///< from a scale to the next ones, in steps
  std::vector<std::shared_ptr<Chain>> up_, join_;           ///< coarsest first
  std::shared_ptr<PlainUnit> classifier_;
};

MobileVim::MobileVim(const MobileVimSettings& s) {
  const auto& w = s.widths;
  if (w.size() < 2 || s.mambas.size() != w.size())
    throw UsageError(concat("widths, mambas: expected one number for each of two scales or more, got ",
                            w.size(), " and ", s.mambas.size()));
  for (const int64_t width : w)
    if (width % 2 != 0) throw UsageError(concat("widths: expected even numbers, got ", width));
  const auto holder = [](torch::nn::Module& owner, const std::string& name) {
    return owner.register_module(name, std::make_shared<torch::nn::Module>());
  };
  const auto relu_unit = [](int64_t in, int64_t out, int64_t edge, int64_t stride = 1) {
    return unit(in, out, edge, Activation::relu, stride);
  };
  const auto encoder = holder(*this, "Encoder"), head = holder(*this, "SegHead");
  stem_ = encoder->register_module("Conv1", unit(s.in_channels, w[0], 3, Activation::silu, 2));
  for (size_t i = 0; i < w.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    stages_.push_back(encoder->register_module("Layer" + number, std::make_shared<Sequence>()));
    if (i > 0) {
      const int64_t in = w[i - 1], wide = multiple_of_8(static_cast<double>(kExpansion * in));
      stages_[i]->push_back(
          chain("Block", {unit(in, wide, 1, Activation::silu), unit(wide, wide, 3, Activation::silu, 2, wide),
                          nullptr, unit(wide, w[i], 1, Activation::none)}));
    }
    stages_[i]->push_back(
        std::make_shared<MobileBlock>(MobileBlockSettings{w[i], s.mambas[i], s.states, s.flipped_channels}));
    const int64_t wide = multiple_of_8(2 * static_cast<double>(w[i]));
    widen_.push_back(head->register_module(
        "ConvB" + number, chain("Bottleneck", {relu_unit(w[i], wide, 1), relu_unit(wide, wide, 3), nullptr,
                                               unit(wide, w[i], 1, Activation::none)})));
    for (size_t to = i + 1; to < w.size(); ++to) {
      const auto steps = holder(*head, "Convr" + number + std::to_string(to + 1));
      guide_.emplace_back();
      for (size_t j = i; j < to; ++j) {
        const int64_t out = j + 1 == to ? w[to] : w[i];
        guide_.back().push_back(
            steps->register_module("Conv" + std::to_string(j - i + 1),
                                   chain("Conv", {relu_unit(w[i], out, 3, 2), relu_unit(out, out, 1)})));
      }
    }
  }
  const auto link = holder(*head, "LinkHead");
  int64_t all = w.back();
  for (size_t i = w.size() - 1; i-- > 0;) {
    all += w[i];
    const std::string number = std::to_string(w.size() - 1 - i);
    const int64_t narrow = multiple_of_8(static_cast<double>(w[i + 1]) / 4);
    up_.push_back(link->register_module(
        "UpLink" + number,
        chain("TPConv", {relu_unit(w[i + 1], narrow, 1), std::make_shared<GrowthUnit>(narrow),
                         relu_unit(narrow, w[i], 1)})));
    join_.push_back(link->register_module(
        "CatLinkConv" + number, chain("Conv", {relu_unit(2 * w[i], w[i], 3), relu_unit(w[i], w[i], 1)})));
  }
  classifier_ =
      holder(*head, "Classifier")->register_module("Classifier", std::make_shared<PlainUnit>(all, s.classes));
}

std::vector<torch::Tensor> MobileVim::scores(const torch::Tensor& input) {
  std::vector<torch::Tensor> f;
  for (const auto& stage : stages_) f.push_back(stage->forward(f.empty() ? stem_->forward(input) : f.back()));
  for (size_t i = 0; i < f.size(); ++i) f[i] = f[i] + widen_[i]->forward(f[i]);
  auto guide = guide_.begin();
  for (size_t from = 0; from < f.size(); ++from)
    for (size_t to = from + 1; to < f.size(); ++to, ++guide) {
      torch::Tensor y = f[from];
      for (const auto& step : *guide) y = step->forward(y);
      f[to] = f[to] + y;
    }
  for (size_t i = 0; i < up_.size(); ++i) {
    torch::Tensor& skip = f[f.size() - 2 - i];
    const torch::Tensor deep = up_[i]->forward(f[f.size() - 1 - i]);
    skip = torch::relu(skip + join_[i]->forward(torch::cat({deep, skip}, 1)));
  }
  for (torch::Tensor& map : f) map = linear_resized(map, spatial_size(f[0]), /*align_corners=*/true);
  return {
      linear_resized(classifier_->forward(torch::cat(f, 1)), spatial_size(input), /*align_corners=*/true)};
}

Json official_settings(const Json& a) {
  MobileVimSettings s;
  const auto mode = argument<std::string>(a, "mode", "x_small");
  if (mode == "xx_small")
    s.widths = {16, 24, 48, 64};
  else if (mode == "small")
    s.widths = {16, 64, 96, 128};
  else if (mode == "medium")
    s.widths = {16, 96, 128, 160};
  else if (mode != "x_small")
    throw UsageError("mode: expected xx_small, x_small, small or medium, got " + mode);
  s.in_channels = argument<int64_t>(a, "in_channels", 1);
  s.classes = argument<int64_t>(a, "seg_num_classes", 3);
  s.flipped_channels = true;
  return to_json(s);
}

std::shared_ptr<torch::nn::Module> official_block(const Json& a) {
  return std::make_shared<MobileBlock>(MobileBlockSettings{a.at("InChannels"), a.at("NumMambaBlocks"),
                                                           argument<int64_t>(a, "d_state", 16), true});
}
std::shared_ptr<torch::nn::Module> official_mamba(const Json& a) {
  return std::make_shared<Mamba2>(Mamba2Settings{
      .width = a.at("d_model"),
      .states = argument<int64_t>(a, "d_state", 16),
      .second = argument(a, "DualDirection", false) ? SecondReading::flipped_channels : SecondReading::none});
}
torch::Tensor run_mamba(torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
  return dynamic_cast<Layer&>(module).forward(inputs.at("u"));
}

constexpr const char* kRepository = "anthonyweidai/MobileViM_3D";

}  // namespace

NetworkEntry mobilevim_entry() {
  return hybrid_entry<MobileVimSettings>(
      {.name = "mobilevim",
       .dims = {3},
       .source =
           "Dai et al.: MobileViM: A Light-weight and Dimension-independent Vision Mamba for 3D Medical "
           "Image Analysis, 2025; github.com/anthonyweidai/MobileViM_3D",
       .summary = "Mamba-2 reads a volume's means along each axis; their outer product beside depthwise "
                  "convolutions",
       .parameters = 2'871'707,
       .small = R"({"classes": 3, "widths": [4, 8], "mambas": [2, 1], "states": 4})",
       .small_edge = 16,
       .official = {{kRepository, "SegEncoderDecoder", official_settings}},
       .blocks = {{kRepository, {"MobileMambaBlockv2"}, official_block},
                  {kRepository, {"Mamba2"}, official_mamba, run_mamba}}},
      [](const MobileVimSettings& s) { return std::make_shared<MobileVim>(s); });
}

}  // namespace mambaseg
