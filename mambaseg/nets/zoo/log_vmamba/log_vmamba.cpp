// LoG-VMamba: Local-Global Vision Mamba for Medical Image Segmentation (Dang, Nguyen, Tiulpin 2024), after
// its public code, whose module names it keeps (class UMambaEnc there): U-Mamba's residual U-Net at half of
// the resolution, with scans of tokens that carry their neighbourhood in the fine stages and of tokens of the
// whole grid in the coarse ones. The published class takes 128^3 voxels alone; here, on other sizes than
// `patch`, the maps of the global tokens are interpolated to the grid that they have there.

#include <algorithm>

#include "mambaseg/nets/blocks/local_global_scan.h"
#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/blocks/res_block.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

constexpr double kNormEps = 1e-6;

struct LogVmambaSettings {
  int64_t in_channels = 4;
  int64_t classes = 3;
  std::vector<int64_t> widths{32, 64, 128, 256, 320};
  std::vector<Extent> kernels, strides;
  std::vector<int64_t> convolutions{2};
  std::vector<int64_t> decoder_convolutions{2};
  Extent patch{128, 128, 128};
  std::vector<int64_t> local_stages{0, 1, 2};
  std::vector<int64_t> global_strides{0, 4, 2, 1, 1};
  std::vector<int64_t> global_squeezes{1, 1, 1, 2, 8};
  std::string place = "even";
  double expand = 1;
  int64_t states = 16;
  double drop_path = 0.1;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "maps of scores", at_least(1));
    visit("widths", widths, "channels of each stage, 1/2 of the resolution first; the stem has the first",
          at_least(1));
    visit("kernels", kernels, "kernel edges of each stage; empty: 3 everywhere", at_least(1));
    visit("strides", strides, "downsampling into each stage along each axis; empty: 1, then 2 everywhere",
          at_least(1));
    visit(
        "convolutions", convolutions,
        "residual blocks of each encoder stage, one number stands for all; the second half of the stages has "
        "one whatever is said here",
        at_least(1));
    visit("decoder_convolutions", decoder_convolutions,
          "residual blocks of each decoder stage, coarsest first, one number stands for all; the last stages "
          "have one",
          at_least(1));
    visit("patch", patch, "input size whose grids of global tokens the network is made for", at_least(1));
    visit("local_stages", local_stages, "stages whose tokens carry their neighbourhood; 0 is the finest",
          at_least(0));
    visit("global_strides", global_strides,
          "stride of the convolution that looks at each stage's grid for global tokens: 1, 2, 4, 8; 0: none",
          between(0, 8));
    visit("global_squeezes", global_squeezes, "channels of the tokens / number of global tokens, each stage",
          at_least(1));
    visit("place", place, "where the global tokens stand among the others",
          one_of({"head", "center", "split", "even"}));
    visit("expand", expand, "channels of the scans / features", at_least(0.1));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("drop_path", drop_path, "training: chance that a scan is left out for a sample", between(0, 1));
  }

  UNetShape shape() const {
    UNetShape s;
    s.in_channels = in_channels;
    s.classes = classes;
    s.features = widths;
    s.kernels = kernels;
    s.strides = strides;
    return s;
  }
};

/// The scan of a stage on maps. Prefix "mamba".
class StageScan : public Layer {
 public:
  StageScan(const LocalGlobalSettings& s, double drop_path)
      : block_(register_module("mamba", std::make_shared<LocalGlobalBlock>(s, "ln", kNormEps, drop_path))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return block_->forward(x.movedim(1, -1)).movedim(-1, 1);
  }

 private:
  std::shared_ptr<LocalGlobalBlock> block_;
};

/// Linear interpolation to `factor` times the size along each axis and a 1x1 convolution. Prefix "conv".
class TrilinearGrowth : public Layer {
 public:
  TrilinearGrowth(int64_t in, int64_t out, const Extent& factor)
      : factor_(factor), conv_(register_module("conv", nnunet_pointwise(3, in, out))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    Extent size = spatial_size(x);
    for (size_t axis = 0; axis < size.size(); ++axis) size[axis] *= factor_[axis];
    // The 1x1 convolution and the interpolation may change places: the convolution sees the small grid.
    return linear_resized(conv_->forward(x), size);
  }

 private:
  Extent factor_;
  std::shared_ptr<Convolution> conv_;
};

/// ResBlock, then `count` - 1 BasicBlockD.
std::shared_ptr<Sequence> residual_stage(int64_t count, int64_t in, int64_t out, const Extent& kernel,
                                         const Extent& stride) {
  const auto stage = sequence({std::make_shared<ResBlock>(in, out, kernel, stride)});
  for (int64_t i = 1; i < count; ++i)
    stage->push_back(std::make_shared<BasicBlockD>(out, out, kernel, cube(3, 1)));
  return stage;
}

class LogVmamba : public Network {
 public:
  explicit LogVmamba(const LogVmambaSettings& s);
  Extent size_multiples() const override {
    Extent sizes = shape_.size_multiples();
    for (int64_t& size : sizes) size *= 2;
    return sizes;
  }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override;

 private:
  UNetShape shape_;
  std::shared_ptr<Sequence> stem_;
  std::vector<std::shared_ptr<Layer>> stages_, scans_;  ///< full resolution first
  std::vector<std::shared_ptr<Layer>> grow_, joined_;   ///< coarsest first
  std::shared_ptr<TrilinearGrowth> last_growth_;
  std::shared_ptr<ResBlock> last_;
  std::shared_ptr<Convolution> head_;
};

/// The mixer of each stage.
std::vector<LocalGlobalSettings> mixers_of(const LogVmambaSettings& s) {
  const UNetShape shape = s.shape();
  const auto stages = static_cast<size_t>(shape.stages());
  if (s.global_strides.size() != stages || s.global_squeezes.size() != stages)
    throw UsageError(concat("global_strides and global_squeezes: expected ", stages, " numbers each, got ",
                            s.global_strides.size(), " and ", s.global_squeezes.size()));
  if (s.patch.size() != 3) throw UsageError(concat("patch: expected 3 numbers, got ", s.patch.size()));
  std::vector<LocalGlobalSettings> mixers;
  Extent grid = s.patch;
  for (int64_t& edge : grid) edge /= 2;
  for (size_t i = 0; i < stages; ++i) {
    const Extent stride = shape.stride(static_cast<int64_t>(i));
    const int64_t look = s.global_strides[i];
    LocalGlobalSettings mixer{.width = s.widths[i], .states = s.states, .expand = s.expand};
    mixer.local = std::count(s.local_stages.begin(), s.local_stages.end(), static_cast<int64_t>(i)) > 0;
    mixer.global = look > 0;
    if (look != 0 && look != 1 && look != 2 && look != 4 && look != 8)
      throw UsageError(concat("global_strides: expected 0, 1, 2, 4 or 8, got ", look));
    mixer.stride = std::max<int64_t>(look, 1);
    mixer.squeeze = s.global_squeezes[i];
    mixer.place = s.place;
    for (size_t axis = 0; axis < grid.size(); ++axis) {
      grid[axis] /= stride[axis];
      mixer.positions.push_back((grid[axis] + mixer.stride - 1) / mixer.stride);
      if (grid[axis] < 1) throw UsageError(concat("patch: stage ", i, " has no voxel left"));
    }
    mixers.push_back(mixer);
  }
  return mixers;
}

LogVmamba::LogVmamba(const LogVmambaSettings& s) : shape_(s.shape()) {
  shape_.check();
  const std::vector<LocalGlobalSettings> mixers = mixers_of(s);
  const int64_t stages = shape_.stages();
  std::vector<int64_t> counts = per_stage(s.convolutions, stages, "convolutions");
  std::fill(counts.begin() + (stages + 1) / 2, counts.end(), 1);
  std::vector<int64_t> decoder_counts = per_stage(s.decoder_convolutions, stages - 1, "decoder_convolutions");
  std::fill(decoder_counts.begin() + std::min(stages - 1, (stages + 1) / 2), decoder_counts.end(), 1);
  const std::vector<int64_t>& f = s.widths;
  const Extent still = cube(3, 1);
  stem_ = residual_stage(counts[0], s.in_channels, f[0], shape_.kernel(0), still);
  for (int64_t i = 0; i < stages; ++i) {
    const auto k = static_cast<size_t>(i);
    stages_.push_back(
        residual_stage(counts[k], i == 0 ? f[0] : f[k - 1], f[k], shape_.kernel(i), shape_.stride(i)));
    scans_.push_back(std::make_shared<StageScan>(mixers[k], s.drop_path));
  }
  for (int64_t i = stages - 1; i > 0; --i) {
    const auto k = static_cast<size_t>(i);
    grow_.push_back(std::make_shared<TrilinearGrowth>(f[k], f[k - 1], shape_.stride(i)));
    joined_.push_back(
        residual_stage(decoder_counts[joined_.size()], f[k - 1], f[k - 1], shape_.kernel(i - 1), still));
  }
  const auto encoder = register_module("encoder", std::make_shared<torch::nn::Module>());
  encoder->register_module("stem", stem_);
  register_list(*encoder, "mamba_layers", scans_);
  register_list(*encoder, "stages", stages_);
  const auto decoder = register_module("decoder", std::make_shared<torch::nn::Module>());
  register_list(*decoder, "stages", joined_);
  register_list(*decoder, "upsample_layers", grow_);
  last_growth_ = register_module("upsample", std::make_shared<TrilinearGrowth>(f[0], f[0], cube(3, 2)));
  last_ = register_module("conv", std::make_shared<ResBlock>(f[0], f[0], shape_.kernel(0), still, false));
  head_ = register_module("seg_layer", nnunet_pointwise(3, f[0], s.classes));
}

std::vector<torch::Tensor> LogVmamba::scores(const torch::Tensor& image) {
  const torch::Tensor full = stem_->forward(image);
  std::vector<torch::Tensor> skips;
  torch::Tensor x = HalvingMaxPool().forward(full);
  for (size_t i = 0; i < stages_.size(); ++i) skips.push_back(x = scans_[i]->forward(stages_[i]->forward(x)));
  for (size_t i = 0; i < grow_.size(); ++i)
    x = joined_[i]->forward(grow_[i]->forward(x) + skips[skips.size() - 2 - i]);
  return {head_->forward(last_->forward(last_growth_->forward(x) + full))};
}

Json official_settings(const Json& a) {
  LogVmambaSettings s;
  UNetShape shape;
  read_shape(a, shape);
  s.in_channels = shape.in_channels;
  s.classes = shape.classes;
  s.widths = shape.features;
  s.kernels = shape.kernels;
  s.strides = shape.strides;
  s.convolutions = stage_numbers(a, "n_conv_per_stage");
  s.decoder_convolutions = stage_numbers(a, "n_conv_per_stage_decoder");
  s.patch = a.at("input_size").get<Extent>();
  s.place = argument<std::string>(a, "depth_mode", "even");
  s.expand = argument(a, "expand", 1.0);
  s.global_strides.resize(s.widths.size());
  s.global_squeezes.resize(s.widths.size());
  return to_json(s);
}

}  // namespace

NetworkEntry log_vmamba_entry() {
  return hybrid_entry<LogVmambaSettings>(
      {.name = "log_vmamba",
       .dims = {3},
       .source =
           "Dang, Nguyen, Tiulpin: LoG-VMamba: Local-Global Vision Mamba for Medical Image Segmentation, "
           "2024; github.com/Oulu-IMEDS/LoG-VMamba",
       .summary = "residual U-Net with scans of tokens that carry their neighbourhood, and of tokens of the "
                  "whole grid",
       .parameters = 20'551'641,
       .small = R"({"in_channels": 1, "classes": 3, "widths": [16, 16, 16], "convolutions": [1],
                    "decoder_convolutions": [1], "patch": [16, 16, 16], "local_stages": [0, 1],
                    "global_strides": [0, 2, 1], "global_squeezes": [1, 1, 4], "states": 2, "drop_path": 0.0})",
       .small_edge = 16,
       .official = {{"Oulu-IMEDS/LoG-VMamba", "UMambaEnc", official_settings, nullptr, nnunet_name}}},
      [](const LogVmambaSettings& s) { return std::make_shared<LogVmamba>(s); });
}

}  // namespace mambaseg
