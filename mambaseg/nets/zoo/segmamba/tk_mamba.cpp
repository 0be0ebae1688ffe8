// TK-Mamba: Marrying KAN with Mamba for Text-Driven 3D Medical Image Segmentation (Yang et al. 2025), after
// its public code, whose module names it keeps: SegMamba with convolutions that mix four kernels for each
// image, and learnt rational functions (KAN) in place of the MLPs on the skips. The head of the CLIP-driven
// universal model (Liu et al. 2023) computes from each class's text embedding the weights of its own small
// classifier.
//
// The published class forms the groups of the rational functions by places in memory, which do not follow the
// channels there; here they are groups of channels unless `groups_by_memory` says as published. The loss that
// compares image and text is not here.

#include <cmath>

#include "mambaseg/nets/blocks/kan.h"
#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/segmamba_blocks.h"
#include "mambaseg/nets/layers/dropping.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/unfilled.h"
#include "mambaseg/nets/model/hybrid_entry.h"
#include "mambaseg/nets/model/tensor_file.h"

namespace mambaseg {
namespace {

constexpr int64_t kKernels = 4;      // that a dynamic convolution mixes
constexpr double kTemperature = 34;  // of the mixture; never lowered in the published training
constexpr int64_t kGroups = 16;      // of the head's norms
constexpr int64_t kHeadWidth = 8;    // channels in a class's classifier, which has three layers

struct TkMambaSettings {
  int64_t in_channels = 1;
  int64_t classes = 11;
  std::vector<int64_t> widths{48, 96, 192, 384};
  int64_t bottleneck_width = 768;
  std::vector<int64_t> depths{2, 2, 2, 2};
  std::vector<int64_t> slices{64, 32, 16, 8};
  int64_t states = 16;
  double dropout = 0.1;
  bool groups_by_memory = false;
  bool text = true;
  int64_t text_width = 512;
  std::string text_embedding;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores, each for itself", at_least(1));
    visit("widths", widths,
          "channels of the encoder's scales, 1/2 of the resolution first; multiples of 8, the first of 16",
          at_least(8));
    visit("bottleneck_width", bottleneck_width,
          "channels of the coarsest scale in the decoder, a multiple of 16", at_least(16));
    visit("depths", depths, "Mamba layers of each scale", at_least(0));
    visit(
        "slices", slices,
        "slices of the third orientation at each scale, which must divide its voxels; 0: as many as the grid "
        "has along its first axis",
        at_least(0));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("dropout", dropout, "training: in the KAN layers", between(0, 1));
    visit("groups_by_memory", groups_by_memory,
          "groups of the KAN layers by places in memory, as in the published code");
    visit("text", text, "classes are told apart by embeddings of texts; else by codes that are learnt");
    visit("text_width", text_width, "numbers of a class's embedding or code", at_least(1));
    visit("text_embedding", text_embedding,
          "safetensors file with one tensor (classes, text_width), a text encoder's features of the classes; "
          "read when a network is made, its models keep the numbers; empty: random ones");
  }
};

/// A convolution whose kernel is, for each image, a mixture of four, with shares that two pointwise
/// convolutions find from the means of its channels. Parameters "weight" (4, out, in, kernel), "bias"
/// (4, out); prefixes "attention.fc1", "attention.fc2".
class DynamicConvolution : public Layer {
 public:
  DynamicConvolution(int64_t in, int64_t out, int64_t edge, const ConvolutionSettings& s)
      : options_{s.stride.empty() ? cube(3, 1) : s.stride, s.padding.empty() ? cube(3, edge / 2) : s.padding,
                 cube(3, 1)} {
    const int64_t hidden = in == 3 ? kKernels : in / 4 + 1;
    weight_ = register_parameter("weight", torch::empty({kKernels, out, in, edge, edge, edge}));
    bias_ = register_parameter("bias", torch::zeros({kKernels, out}));
    torch::Tensor all = weight_.detach().flatten(0, 1), none;
    start_weights(Start::pytorch, all, none);
    const auto attention = register_module("attention", std::make_shared<torch::nn::Module>());
    fc1_ = attention->register_module("fc1", conv(3, in, hidden, 1, {.bias = false}));
    fc2_ = attention->register_module("fc2", conv(3, hidden, kKernels, 1, {.bias = false}));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor found = fc2_->forward(fc1_->run(x.mean({2, 3, 4}, true), {Activation::relu, {}}));
    const torch::Tensor shares = torch::softmax(found.flatten(1).to(weight_.scalar_type()) / kTemperature, 1);
    const torch::Tensor kernels = torch::matmul(shares, weight_.flatten(1)),
                        biases = torch::matmul(shares, bias_);
    std::vector<torch::Tensor> out;
    for (int64_t b = 0; b < x.size(0); ++b)
      out.push_back(convolution(x.narrow(0, b, 1), {kernels[b].view_as(weight_[0]), biases[b]}, options_));
    return torch::cat(out, 0);
  }

 private:
  ConvolutionOptions options_;
  torch::Tensor weight_, bias_;
  std::shared_ptr<Convolution> fc1_, fc2_;
};

struct KanMapSettings {
  int64_t in = 48, hidden = 96, out = 48;
  double dropout = 0.1;
  bool groups_by_memory = false;
};

/// KAN3D: twice rational functions, dropout and a pointwise convolution. Prefixes "act1", "fc1", "act2",
/// "fc2".
class KanMap : public Layer {
 public:
  explicit KanMap(const KanMapSettings& s)
      : by_memory_(s.groups_by_memory),
        act1_(register_module("act1", std::make_shared<GroupRational>())),
        act2_(register_module("act2", std::make_shared<GroupRational>())),
        fc1_(register_module("fc1", conv(3, s.in, s.hidden, 1))),
        fc2_(register_module("fc2", conv(3, s.hidden, s.out, 1))),
        dropout_(register_module("drop", std::make_shared<Dropout>(s.dropout))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return fc2_->forward(dropout_->forward(bent(*act2_, fc1_->forward(dropout_->forward(bent(*act1_, x))))));
  }

 private:
  torch::Tensor bent(GroupRational& act, const torch::Tensor& x) const {
    if (!by_memory_) return act.forward(x.movedim(1, -1)).movedim(-1, 1);
    // Numbers that follow each other in channel-first memory count as the channels of tokens.
    return act.forward(x.contiguous().view({-1, x.size(1)})).view(x.sizes());
  }
  bool by_memory_;
  std::shared_ptr<GroupRational> act1_, act2_;
  std::shared_ptr<Convolution> fc1_, fc2_;
  std::shared_ptr<Dropout> dropout_;
};

/// K_Mamba, the network without its head. Prefixes "vit.downsample_layers", "vit.gscs", "vit.stages",
/// "vit.KAN", "encoder1", ..., "decoder1".
class KMamba : public Module, public GivesSeveral {
 public:
  struct Features {
    torch::Tensor coarsest, finest;  ///< before the decoder and behind it
  };
  explicit KMamba(const TkMambaSettings& s) {
    shrink_ = halving_layers(s.in_channels, s.widths,
                             [](int64_t in, int64_t out, int64_t edge, const ConvolutionSettings& how) {
                               return std::make_shared<DynamicConvolution>(in, out, edge, how);
                             });
    for (size_t i = 0; i < s.widths.size(); ++i) {
      const int64_t width = s.widths[i];
      gates_.push_back(std::make_shared<GatedSpatialConvolution>(width, /*learnt_slopes=*/true));
      const auto layers = std::make_shared<Sequence>();
      for (int64_t k = 0; k < s.depths[i]; ++k)
        layers->push_back(std::make_shared<TriOrientatedLayer>(
            TriOrientatedMambaSettings{.width = width, .states = s.states, .slices = s.slices[i]}));
      mambas_.push_back(layers);
      kans_.push_back(
          std::make_shared<KanMap>(KanMapSettings{width, 2 * width, width, s.dropout, s.groups_by_memory}));
    }
    const auto vit = register_module("vit", std::make_shared<torch::nn::Module>());
    register_list(*vit, "downsample_layers", shrink_);
    register_list(*vit, "gscs", gates_);
    register_list(*vit, "stages", mambas_);
    register_list(*vit, "KAN", kans_);
    std::vector<int64_t> widths = s.widths;
    widths.push_back(s.bottleneck_width);
    unetr_ = std::make_unique<UnetrScales>(*this, s.in_channels, widths);
  }
  Features forward(const torch::Tensor& image) {
    std::vector<torch::Tensor> skips{unetr_->skip(0, image)};
    torch::Tensor x = image;
    for (size_t i = 0; i < shrink_.size(); ++i) {
      x = mambas_[i]->forward(gates_[i]->forward(shrink_[i]->forward(x)));
      skips.push_back(unetr_->skip(i + 1, kans_[i]->forward(norm_.forward(x))));
    }
    const torch::Tensor coarsest = skips.back();
    return {coarsest, unetr_->decoded(std::move(skips))};
  }
  std::vector<torch::Tensor> outputs(const std::map<std::string, torch::Tensor>& inputs) override {
    const Features features = forward(inputs.at("x"));
    return {features.coarsest, features.finest};
  }

 private:
  std::vector<std::shared_ptr<Layer>> shrink_, gates_, mambas_, kans_;  ///< one a scale, finest first
  std::unique_ptr<UnetrScales> unetr_;
  PlainInstanceNorm norm_;
};

void check(const TkMambaSettings& s) {
  const size_t scales = s.widths.size();
  if (scales == 0 || s.depths.size() != scales || s.slices.size() != scales)
    throw UsageError(concat("widths, depths and slices: expected one number a scale each, got ", scales, ", ",
                            s.depths.size(), " and ", s.slices.size()));
  for (const int64_t width : s.widths)
    if (width % GroupRational::kGroups != 0)
      throw UsageError(concat("widths: expected multiples of ", GroupRational::kGroups, ", got ", width));
  if (!s.text && !s.text_embedding.empty())
    throw UsageError("text_embedding: the codes are learnt where text is false");
}

/// The numbers of the file, or random ones where there is none or where they are read with the weights.
torch::Tensor text_features(const TkMambaSettings& s) {
  const torch::Tensor random = torch::randn({s.classes, s.text_width});
  if (s.text_embedding.empty() || UnfilledWeightsGuard::active()) return random;
  const auto tensors = read_tensors(s.text_embedding);
  if (tensors.size() != 1 || tensors.begin()->second.sizes() != random.sizes())
    throw UsageError(concat("text_embedding: expected one tensor of ", s.classes, " x ", s.text_width, " in ",
                            s.text_embedding, ", got ", tensors.size(),
                            tensors.size() == 1 ? " of other sizes" : ""));
  return tensors.begin()->second.to(torch::kFloat);
}

class TkMamba : public Network {
 public:
  explicit TkMamba(const TkMambaSettings& s);
  Extent size_multiples() const override { return sliced_size_multiples(settings_.slices); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  TkMambaSettings settings_;
  std::shared_ptr<KMamba> backbone_;
  std::shared_ptr<GroupNorm> image_norm_;
  std::shared_ptr<Convolution> image_code_, controller_;
  std::shared_ptr<Sequence> features_;
  torch::Tensor class_codes_;
  std::shared_ptr<Linear> text_to_vision_;
};

TkMamba::TkMamba(const TkMambaSettings& s) : settings_(s) {
  check(s);
  backbone_ = register_module("backbone", std::make_shared<KMamba>(s));
  features_ = register_module("precls_conv", sequence({std::make_shared<GroupNorm>(kGroups, s.widths[0]),
                                                       relu(), conv(3, s.widths[0], kHeadWidth, 1)}));
  const auto gap = register_module("GAP", std::make_shared<torch::nn::Module>());
  image_norm_ = gap->register_module("0", std::make_shared<GroupNorm>(kGroups, s.bottleneck_width));
  image_code_ = gap->register_module("3", conv(3, s.bottleneck_width, s.text_width, 1));
  controller_ = register_module(
      "controller", conv(3, 2 * s.text_width, 2 * kHeadWidth * kHeadWidth + 3 * kHeadWidth + 1, 1));
  if (s.text) {
    class_codes_ = register_buffer("organ_embedding", text_features(s));
    text_to_vision_ = register_module("text_to_vision", std::make_shared<Linear>(s.text_width, s.text_width));
  } else {
    class_codes_ = register_module("organ_embedding", std::make_shared<torch::nn::Module>())
                       ->register_parameter("weight", torch::randn({s.classes, s.text_width}));
  }
}

std::vector<torch::Tensor> TkMamba::scores(const torch::Tensor& image) {
  const auto [coarsest, finest] = backbone_->forward(image);
  const int64_t B = image.size(0), n = settings_.classes, w = kHeadWidth;
  const torch::Tensor pooled = image_norm_->run(coarsest, {Activation::relu, {}}).mean({2, 3, 4}, true);
  const torch::Tensor of_image = image_code_->forward(pooled).view({B, 1, -1}).expand({B, n, -1});
  const torch::Tensor codes = class_codes_.to(image.scalar_type());
  const torch::Tensor of_class =
      (text_to_vision_ ? text_to_vision_->run(codes, {Activation::relu, {}}) : codes).expand({B, n, -1});
  const torch::Tensor both = torch::cat({of_image, of_class}, 2).view({B * n, -1, 1, 1, 1});
  const auto wide = torch::promote_types(image.scalar_type(), torch::kFloat);  // the classifiers are narrow
  const torch::Tensor weights = controller_->forward(both).view({B, n, -1}).to(wide);
  const torch::Tensor f = features_->forward(finest).movedim(1, -1).flatten(1, -2).to(wide);
  std::vector<torch::Tensor> maps;
  for (int64_t c = 0; c < n; ++c) {
    const std::vector<torch::Tensor> own =
        weights.select(1, c).split_with_sizes({w * w, w * w, w, w, w, 1}, 1);
    const auto layer = [&](const torch::Tensor& x, size_t i, int64_t out) {
      return torch::baddbmm(own[3 + i].unsqueeze(1), x, own[i].view({B, out, w}).mT());
    };
    maps.push_back(layer(torch::relu(layer(torch::relu(layer(f, 0, w)), 1, w)), 2, 1));
  }
  std::vector<int64_t> sizes = finest.sizes().vec();
  sizes[1] = n;
  return {torch::cat(maps, 2).mT().reshape(sizes).to(image.scalar_type())};
}

Json official_settings(const Json& a) {
  TkMambaSettings s;
  s.in_channels = a.at("in_channels");
  s.classes = a.at("out_channels");
  s.text = argument<std::string>(a, "encoding", "rand_embedding") == "word_embedding";
  s.groups_by_memory = true;
  return to_json(s);
}

using Block = std::shared_ptr<torch::nn::Module>;

Block official_backbone(const Json& a) {
  TkMambaSettings s;
  s.in_channels = argument<int64_t>(a, "in_chans", 1);
  s.widths = argument(a, "feat_size", s.widths);
  s.depths = argument(a, "depths", s.depths);
  s.bottleneck_width = argument<int64_t>(a, "hidden_size", s.bottleneck_width);
  s.groups_by_memory = true;
  return std::make_shared<KMamba>(s);
}
Block official_kan(const Json& a) {
  return std::make_shared<KanMap>(
      KanMapSettings{a.at("in_features"), a.at("hidden_features"), a.at("out_features"), 0.1, true});
}
Block official_convolution(const Json& a) {
  return std::make_shared<DynamicConvolution>(
      a.at("in_chans"), a.at("out_chans"), a.at("kernel_size"),
      ConvolutionSettings{.stride = cube(3, argument<int64_t>(a, "stride", 1)),
                          .padding = cube(3, argument<int64_t>(a, "padding", 0))});
}
Block official_rational(const Json&) { return std::make_shared<GroupRational>(); }

constexpr const char* kRepository = "yhy-whu/TK-Mamba";

}  // namespace

NetworkEntry tk_mamba_entry() {
  return hybrid_entry<TkMambaSettings>(
      {.name = "tk_mamba",
       .dims = {3},
       .source =
           "Yang et al.: TK-Mamba: Marrying KAN with Mamba for Text-Driven 3D Medical Image Segmentation, "
           "2025; github.com/yhy-whu/TK-Mamba",
       .summary = "SegMamba with mixed kernels and KAN; classifiers made from the classes' text embeddings",
       .parameters = 70'564'898,
       .small =
           R"({"classes": 3, "widths": [16, 8], "bottleneck_width": 16, "depths": [1, 1], "slices": [8, 0],
                    "states": 2, "text_width": 6})",
       .small_edge = 16,
       .official = {{kRepository, "Universal_model", official_settings}},
       .blocks = {{kRepository, {"K_Mamba"}, official_backbone},
                  {kRepository, {"KAN3D"}, official_kan},
                  {kRepository, {"Dynamic_conv3d"}, official_convolution},
                  {"Adamdad/rational_kat_cu", {"KAT_Group"}, official_rational}}},
      [](const TkMambaSettings& s) { return std::make_shared<TkMamba>(s); });
}

}  // namespace mambaseg
