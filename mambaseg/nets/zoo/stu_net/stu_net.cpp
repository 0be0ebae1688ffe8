// STU-Net: Scalable and Transferable Medical Image Segmentation Models (Huang et al. 2023), after STUNet of
// github.com/uni-medical/STU-Net, whose module names it keeps. nnU-Net's frame with residual blocks in six
// stages, in four sizes that grow in width and depth together. The original builds kernels of 3x3x3 whatever
// the plan says.

#include <algorithm>
#include <array>

#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/blocks/res_block.h"
#include "mambaseg/nets/layers/sequence.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {
namespace {

constexpr size_t kStages = 6;

/// The default is the smallest of the published networks for the 104 organs of TotalSegmentator.
struct StuNetSettings {
  int64_t in_channels = 1;
  int64_t classes = 105;
  std::string size = "S";
  std::vector<int64_t> widths;
  std::vector<int64_t> depths;
  std::vector<Extent> strides;
  bool deep_supervision = true;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("size", size, "published size: 14.6, 58, 440 or 1457 million parameters",
          one_of({"S", "B", "L", "H"}));
    visit("widths", widths, "channels of the six stages, finest first; empty: those of the size",
          at_least(1));
    visit("depths", depths, "residual blocks of the six stages, finest first; empty: those of the size",
          at_least(1));
    visit("strides", strides,
          "downsampling between the stages along each axis, five lists; empty: 2 everywhere", at_least(1));
    visit("deep_supervision", deep_supervision, "scores of the coarser scales too while training");
  }

  /// UsageError unless the lists fit.
  void complete();
};

void StuNetSettings::complete() {
  const size_t order = std::string("SBLH").find(size);
  const int64_t base = std::array<int64_t, 4>{16, 32, 64, 96}.at(order);
  if (widths.empty())
    for (const int64_t times : {1, 2, 4, 8, 16, 16}) widths.push_back(base * times);
  if (depths.empty()) depths.assign(kStages, std::array<int64_t, 4>{1, 1, 2, 3}.at(order));
  if (strides.empty()) strides.assign(kStages - 1, cube(3, 2));
  if (widths.size() != kStages || depths.size() != kStages || strides.size() != kStages - 1)
    throw UsageError(concat("widths, depths, strides: expected 6, 6 and 5 entries, got ", widths.size(), ", ",
                            depths.size(), " and ", strides.size()));
  for (const Extent& stride : strides)
    if (stride.size() != 3)
      throw UsageError(concat("strides: expected 3 numbers in each list, got ", stride.size()));
}

/// A block that projects its input, then blocks that keep it; prefixes "0", "1", ...
std::shared_ptr<Sequence> stage(int64_t blocks, int64_t in, int64_t out, const Extent& stride) {
  const auto stage = std::make_shared<Sequence>();
  for (int64_t i = 0; i < blocks; ++i)
    stage->push_back(std::make_shared<ResBlock>(i == 0 ? in : out, out, cube(3, 3),
                                                i == 0 ? stride : cube(3, 1), /*projected=*/i == 0));
  return stage;
}

class StuNet : public Network {
 public:
  explicit StuNet(const StuNetSettings& s) : strides_(s.strides), deep_supervision_(s.deep_supervision) {
    const auto& w = s.widths;
    for (size_t d = 0; d < kStages; ++d)
      context_.push_back(
          stage(s.depths[d], d == 0 ? s.in_channels : w[d - 1], w[d], d == 0 ? cube(3, 1) : strides_[d - 1]));
    for (size_t d = kStages - 1; d-- > 0;) {
      grow_.push_back(std::make_shared<NearestGrowth>(w[d + 1], w[d], strides_[d]));
      localization_.push_back(stage(s.depths[d], 2 * w[d], w[d], cube(3, 1)));
      heads_.push_back(nnunet_pointwise(3, w[d], s.classes));
    }
    register_list(*this, "conv_blocks_context", context_);
    register_list(*this, "upsample_layers", grow_);
    register_list(*this, "conv_blocks_localization", localization_);
    register_list(*this, "seg_outputs", heads_);
  }
  Extent size_multiples() const override {
    Extent product = cube(3, 1);
    for (const Extent& stride : strides_)
      for (size_t axis = 0; axis < 3; ++axis) product[axis] *= stride[axis];
    return product;
  }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& input) override {
    std::vector<torch::Tensor> skips;
    for (const auto& stage : context_) skips.push_back(stage->forward(skips.empty() ? input : skips.back()));
    torch::Tensor x = skips.back();
    std::vector<torch::Tensor> scores;
    for (size_t u = 0; u < heads_.size(); ++u) {
      skips.pop_back();
      x = localization_[u]->forward(torch::cat({grow_[u]->forward(x), skips.back()}, 1));
      if (u + 1 == heads_.size() || (deep_supervision_ && wants_all_scales()))
        scores.push_back(heads_[u]->forward(x));
    }
    std::reverse(scores.begin(), scores.end());
    return scores;
  }

 private:
  std::vector<Extent> strides_;  ///< into each stage but the first
  bool deep_supervision_;
  std::vector<std::shared_ptr<Sequence>> context_;       ///< finest first
  std::vector<std::shared_ptr<Sequence>> localization_;  ///< coarsest first, as grow_ and heads_
  std::vector<std::shared_ptr<NearestGrowth>> grow_;
  std::vector<std::shared_ptr<Convolution>> heads_;
};

Json official_settings(const Json& a) {
  StuNetSettings s;
  s.in_channels = a.at("input_channels");
  s.classes = a.at("num_classes");
  s.depths = argument<std::vector<int64_t>>(a, "depth", {1, 1, 1, 1, 1, 1});
  s.widths = argument<std::vector<int64_t>>(a, "dims", {32, 64, 128, 256, 512, 512});
  s.strides = argument<std::vector<Extent>>(a, "pool_op_kernel_sizes", {});
  s.deep_supervision = argument(a, "enable_deep_supervision", true);
  const auto kernels = argument<std::vector<Extent>>(a, "conv_kernel_sizes", {});
  if (std::any_of(kernels.begin(), kernels.end(), [](const Extent& k) { return k != cube(3, 3); }))
    throw UsageError("conv_kernel_sizes: expected 3 everywhere");
  return to_json(s);
}

std::shared_ptr<torch::nn::Module> official_block(const Json& a) {
  const int64_t kernel = argument<int64_t>(a, "kernel_size", 3);
  if (argument<int64_t>(a, "padding", 1) != kernel / 2) throw UsageError("padding: expected half the kernel");
  return std::make_shared<ResBlock>(a.at("input_channels"), a.at("output_channels"), cube(3, kernel),
                                    cube(3, argument<int64_t>(a, "stride", 1)),
                                    argument(a, "use_1x1conv", false));
}
std::shared_ptr<torch::nn::Module> official_growth(const Json& a) {
  return std::make_shared<NearestGrowth>(a.at("input_channels"), a.at("output_channels"),
                                         a.at("pool_op_kernel_size").get<Extent>());
}

constexpr const char* kRepository = "uni-medical/STU-Net";

}  // namespace

NetworkEntry stu_net_entry() {
  return network_entry<StuNetSettings>(
      {.name = "stu_net",
       .dims = {3},
       .source = "Huang et al.: STU-Net: Scalable and Transferable Medical Image Segmentation Models, 2023; "
                 "github.com/uni-medical/STU-Net",
       .summary = "residual U-Net in nnU-Net's frame, in four sizes of 14 million to 1.5 billion parameters",
       .parameters = 14'596'941,
       .small = R"({"classes": 3, "widths": [4, 6, 8, 8, 8, 8], "depths": [1, 2, 1, 1, 1, 1],
                    "strides": [[2, 2, 2], [2, 2, 2], [1, 1, 1], [1, 1, 1], [1, 1, 1]]})",
       .small_edge = 8,
       .official = {{kRepository, "STUNet", official_settings}},
       .blocks = {{kRepository, {"BasicResBlock"}, official_block},
                  {kRepository, {"Upsample_Layer_nearest"}, official_growth}}},
      [](StuNetSettings s) {
        s.complete();
        return std::make_shared<StuNet>(s);
      });
}

}  // namespace mambaseg
