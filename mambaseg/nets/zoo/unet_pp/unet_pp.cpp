// U-Net++ (Zhou et al. 2018, 2020): between encoder and decoder lies a triangle of nodes, each joined to all
// nodes before it on its scale and to the one below. Two public classes, whose module names are kept:
// NestedUNet for pictures (github.com/4uiiurz1/pytorch-nested-unet: batch norm, bilinear growth) and
// BasicUNetPlusPlus for volumes or pictures (github.com/Project-MONAI/MONAI: instance norm, transposed
// convolutions). All heads are at full resolution. While training, forward gives first the scores of the last
// one, which prediction uses, then those of the shallower nodes, where the official lists begin with the
// shallowest.

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/norm.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// The nodes X(0, 1), X(0, 2), ... of the finest scale: X(i, 0) = down(i, X(i - 1, 0)), and X(i, j) =
/// up(i, j, [X(i, 0), ..., X(i, j - 1)], X(i + 1, j - 1)), the maps in the brackets joined.
template <class Down, class Up>
std::vector<Tensor> nested(const Tensor& x, size_t scales, Down down, Up up) {
  std::vector<std::vector<Tensor>> nodes(scales);
  for (size_t deepest = 0; deepest < scales; ++deepest) {
    nodes[deepest].push_back(down(deepest, deepest == 0 ? x : nodes[deepest - 1][0]));
    for (size_t j = 1; j <= deepest; ++j) {
      const size_t i = deepest - j;
      nodes[i].push_back(up(i, j, torch::cat(nodes[i], 1), nodes[i + 1][j - 1]));
    }
  }
  return {nodes[0].begin() + 1, nodes[0].end()};
}

std::string numbered(const char* name, size_t i, size_t j) {
  return name + std::to_string(i) + "_" + std::to_string(j);
}

/// A U-Net++ of either kind: the last node of the finest scale has a head, the others may.
class NestedNetwork : public Network {
 protected:
  std::vector<Tensor> scores(const Tensor& x) override {
    const std::vector<Tensor> nodes = finest_nodes(x);
    std::vector<Tensor> out;
    for (size_t k = nodes.size(); k-- > 0;) {
      if (!out.empty() && !(supervises_all_ && wants_all_scales())) break;
      out.push_back(heads_[k]->forward(nodes[k]));
      seen(("y" + std::to_string(k)).c_str(), out.back());
    }
    return out;
  }
  virtual std::vector<Tensor> finest_nodes(const Tensor& x) = 0;

  std::vector<std::shared_ptr<Convolution>> heads_;  ///< shallowest node first
  bool supervises_all_ = true;                       ///< else the last head alone is looked at
};

struct UnetPpSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  std::vector<int64_t> widths{32, 64, 128, 256, 512};
  bool deep_supervision = true;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the scales, finest first", at_least(1));
    visit("deep_supervision", deep_supervision,
          "a head on every node of the finest scale, for training; else on the last alone");
  }
};

/// Convolution 3x3, batch norm, ReLU, twice; prefixes "conv1", "bn1", "conv2", "bn2".
class VggBlock : public Layer {
 public:
  VggBlock(int64_t in, int64_t middle, int64_t out) {
    conv1_ = register_module("conv1", conv(2, in, middle, 3));
    bn1_ = register_module("bn1", std::make_shared<BatchNorm>(middle));
    conv2_ = register_module("conv2", conv(2, middle, out, 3));
    bn2_ = register_module("bn2", std::make_shared<BatchNorm>(out));
  }
  Tensor forward(const Tensor& x) override {
    return normed(*conv2_, *bn2_, normed(*conv1_, *bn1_, x, {Activation::relu, {}}), {Activation::relu, {}});
  }

 private:
  std::shared_ptr<Convolution> conv1_, conv2_;
  std::shared_ptr<BatchNorm> bn1_, bn2_;
};

class UnetPp : public NestedNetwork {
 public:
  explicit UnetPp(const UnetPpSettings& s) {
    supervises_all_ = s.deep_supervision;
    const auto& w = s.widths;
    if (w.size() < 2) throw UsageError(concat("widths: expected at least 2 numbers, got ", w.size()));
    nodes_.resize(w.size());
    for (size_t j = 0; j < w.size(); ++j)
      for (size_t i = 0; i + j < w.size(); ++i) {
        const int64_t above = i == 0 ? s.in_channels : w[i - 1];
        const int64_t in = j == 0 ? above : static_cast<int64_t>(j) * w[i] + w[i + 1];
        nodes_[i].push_back(
            register_module(numbered("conv", i, j), std::make_shared<VggBlock>(in, w[i], w[i])));
      }
    heads_.resize(w.size() - 1);
    for (size_t k = s.deep_supervision ? 0 : heads_.size() - 1; k < heads_.size(); ++k)
      heads_[k] = register_module(s.deep_supervision ? "final" + std::to_string(k + 1) : "final",
                                  conv(2, w[0], s.classes, 1));
  }
  Extent size_multiples() const override { return cube(2, int64_t{1} << (nodes_.size() - 1)); }

 protected:
  std::vector<Tensor> finest_nodes(const Tensor& x) override {
    return nested(
        x, nodes_.size(),
        [&](size_t i, const Tensor& above) {
          return nodes_[i][0]->forward(i == 0 ? above : halved_by_max(above));
        },
        [&](size_t i, size_t j, const Tensor& skips, const Tensor& below) {
          return nodes_[i][j]->forward(torch::cat({skips, linear_upsampled(below, 2, true)}, 1));
        });
  }

 private:
  std::vector<std::vector<std::shared_ptr<VggBlock>>> nodes_;  ///< (scale, place on it)
};

struct BasicUnetPpSettings {
  int64_t dims = 3;
  int64_t in_channels = 1;
  int64_t classes = 2;
  std::vector<int64_t> widths{32, 32, 64, 128, 256};
  int64_t last_width = 32;
  bool deep_supervision = true;

  void describe(SettingsVisitor& visit) {
    visit("dims", dims, "spatial dimensions, 2 or 3", between(2, 3));
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes with background", at_least(2));
    visit("widths", widths, "channels of the scales, finest first", at_least(1));
    visit("last_width", last_width, "channels of the last node, before the scores", at_least(1));
    visit("deep_supervision", deep_supervision,
          "scores of every node of the finest scale while training; else the other heads learn nothing");
  }
};

/// Convolution 3, instance norm, leaky ReLU of slope 0.1; prefixes "conv", "adn.N".
class AdnConvolution : public Layer {
 public:
  AdnConvolution(int64_t dims, int64_t in, int64_t out)
      : conv_(register_module("conv", conv(dims, in, out, 3))), norm_(std::make_shared<InstanceNorm>(out)) {
    register_module("adn", std::make_shared<torch::nn::Module>())->register_module("N", norm_);
  }
  Tensor forward(const Tensor& x) override {
    return torch::leaky_relu(norm_->forward(conv_->forward(x)), 0.1);
  }

 private:
  std::shared_ptr<Convolution> conv_;
  std::shared_ptr<InstanceNorm> norm_;
};

/// Two of them; prefixes "conv_0", "conv_1".
class TwoConvolutions : public Layer {
 public:
  TwoConvolutions(int64_t dims, int64_t in, int64_t out)
      : first_(register_module("conv_0", std::make_shared<AdnConvolution>(dims, in, out))),
        second_(register_module("conv_1", std::make_shared<AdnConvolution>(dims, out, out))) {}
  Tensor forward(const Tensor& x) override { return second_->forward(first_->forward(x)); }

 private:
  std::shared_ptr<AdnConvolution> first_, second_;
};

/// The features of the coarser scale, doubled (the outermost voxel repeated behind where the skip is larger
/// by one), behind those of the skip; two convolutions. Prefixes "upsample.deconv", "convs".
class UpJoin : public Module {
 public:
  /// `halves`: growing halves the channels.
  UpJoin(int64_t dims, int64_t in, int64_t skip, int64_t out, bool halves) {
    const int64_t grown = halves ? in / 2 : in;
    grow_ = std::make_shared<TransposedConvolution>(in, grown, cube(dims, 2));
    register_module("upsample", std::make_shared<torch::nn::Module>())->register_module("deconv", grow_);
    convs_ = register_module("convs", std::make_shared<TwoConvolutions>(dims, skip + grown, out));
  }
  Tensor forward(const Tensor& skip, const Tensor& deep) {
    Tensor grown = grow_->forward(deep);
    for (int64_t axis = 2; axis < grown.dim(); ++axis)
      if (grown.size(axis) < skip.size(axis)) grown = torch::cat({grown, grown.narrow(axis, -1, 1)}, axis);
    return convs_->forward(torch::cat({skip, grown}, 1));
  }

 private:
  std::shared_ptr<TransposedConvolution> grow_;
  std::shared_ptr<TwoConvolutions> convs_;
};

class BasicUnetPp : public NestedNetwork {
 public:
  explicit BasicUnetPp(const BasicUnetPpSettings& s) : dims_(s.dims) {
    supervises_all_ = s.deep_supervision;
    const auto& w = s.widths;
    if (w.size() < 2) throw UsageError(concat("widths: expected at least 2 numbers, got ", w.size()));
    for (size_t i = 0; i < w.size(); ++i) {
      down_.push_back(std::make_shared<TwoConvolutions>(s.dims, i == 0 ? s.in_channels : w[i - 1], w[i]));
      if (i == 0)
        register_module("conv_0_0", down_[0]);
      else
        register_module(numbered("conv_", i, 0), std::make_shared<torch::nn::Module>())
            ->register_module("convs", down_[i]);
    }
    up_.resize(w.size() - 1);
    for (size_t j = 1; j < w.size(); ++j)
      for (size_t i = 0; i + j < w.size(); ++i) {
        const bool last = j + 1 == w.size();
        up_[i].push_back(
            register_module(numbered("upcat_", i, j),
                            std::make_shared<UpJoin>(s.dims, w[i + 1], static_cast<int64_t>(j) * w[i],
                                                     last ? s.last_width : w[i], /*halves=*/i > 0)));
      }
    for (size_t k = 1; k < w.size(); ++k)
      heads_.push_back(register_module(numbered("final_conv_", 0, k),
                                       conv(s.dims, k + 1 == w.size() ? s.last_width : w[0], s.classes, 1)));
  }
  Extent size_multiples() const override { return cube(dims_, 1); }
  Extent least_sizes() const override { return cube(dims_, int64_t{1} << (down_.size() - 1)); }

 protected:
  std::vector<Tensor> finest_nodes(const Tensor& x) override {
    return nested(
        x, down_.size(),
        [&](size_t i, const Tensor& above) {
          return down_[i]->forward(i == 0 ? above : halved_by_max(above));
        },
        [&](size_t i, size_t j, const Tensor& skips, const Tensor& below) {
          return up_[i][j - 1]->forward(skips, below);
        });
  }

 private:
  int64_t dims_;
  std::vector<std::shared_ptr<TwoConvolutions>> down_;    ///< finest first
  std::vector<std::vector<std::shared_ptr<UpJoin>>> up_;  ///< (scale, place on it - 1)
};

Json official_settings(const Json& a) {
  UnetPpSettings s;
  s.in_channels = argument<int64_t>(a, "input_channels", 3);
  s.classes = a.at("num_classes");
  s.deep_supervision = argument(a, "deep_supervision", false);
  return to_json(s);
}

Json official_basic_settings(const Json& a) {
  BasicUnetPpSettings s;
  s.dims = argument<int64_t>(a, "spatial_dims", 3);
  s.in_channels = argument<int64_t>(a, "in_channels", 1);
  s.classes = argument<int64_t>(a, "out_channels", 2);
  s.widths = argument<std::vector<int64_t>>(a, "features", {32, 32, 64, 128, 256, 32});
  if (s.widths.size() != 6) throw UsageError(concat("features: expected 6 numbers, got ", s.widths.size()));
  s.last_width = s.widths.back();
  s.widths.pop_back();
  s.deep_supervision = argument(a, "deep_supervision", false);
  if (argument<std::string>(a, "upsample", "deconv") != "deconv")
    throw UsageError("upsample: expected \"deconv\"");
  return to_json(s);
}

std::shared_ptr<torch::nn::Module> official_vgg_block(const Json& a) {
  return std::make_shared<VggBlock>(a.at("in_channels"), a.at("middle_channels"), a.at("out_channels"));
}
std::shared_ptr<torch::nn::Module> official_up_join(const Json& a) {
  return std::make_shared<UpJoin>(a.at("spatial_dims"), a.at("in_chns"), a.at("cat_chns"), a.at("out_chns"),
                                  argument(a, "halves", true));
}
Tensor run_up_join(torch::nn::Module& module, const std::map<std::string, Tensor>& inputs) {
  return dynamic_cast<UpJoin&>(module).forward(inputs.at("skip"), inputs.at("x"));
}

}  // namespace

NetworkEntry unet_pp_entry() {
  return network_entry<UnetPpSettings>(
      {.name = "unet_pp",
       .dims = {2},
       .source = "Zhou et al.: UNet++: A Nested U-Net Architecture for Medical Image Segmentation, 2018; "
                 "github.com/4uiiurz1/pytorch-nested-unet",
       .summary = "U-Net++ for pictures: nested skips with a head on each, batch norm",
       .parameters = 9'163'428,
       .small = R"({"classes": 3, "widths": [4, 6, 8]})",
       .small_edge = 16,
       .official = {{"4uiiurz1/pytorch-nested-unet", "NestedUNet", official_settings}},
       .blocks = {{"4uiiurz1/pytorch-nested-unet", {"VGGBlock"}, official_vgg_block}}},
      [](const UnetPpSettings& s) { return std::make_shared<UnetPp>(s); });
}

NetworkEntry basic_unet_pp_entry() {
  return network_entry<BasicUnetPpSettings>(
      {.name = "basic_unet_pp",
       .dims = {3, 2},
       .source = "Zhou et al.: UNet++, 2018, as BasicUNetPlusPlus of github.com/Project-MONAI/MONAI",
       .summary = "U-Net++ for volumes or pictures: nested skips with a head on each, instance norm",
       .parameters = 6'979'976,
       .small = R"({"classes": 3, "widths": [4, 4, 8], "last_width": 4})",
       .small_edge = 8,
       .official = {{"Project-MONAI/MONAI", "BasicUNetPlusPlus", official_basic_settings}},
       .blocks = {{"Project-MONAI/MONAI", {"UpCat"}, official_up_join, run_up_join}}},
      [](const BasicUnetPpSettings& s) { return std::make_shared<BasicUnetPp>(s); });
}

}  // namespace mambaseg
