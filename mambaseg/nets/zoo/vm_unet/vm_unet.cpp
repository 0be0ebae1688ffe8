// VM-UNet: Vision Mamba UNet for Medical Image Segmentation (Ruan, Li, Xiang 2024), after its public code. A
// U-Net of selective scan blocks alone: patches of 4 x 4 pixels become tokens, scales (four there) of
// VMamba's first block on the way down and up, and the encoder's tokens are added (not concatenated) before
// the grid grows. Unlike there, forward returns scores before the sigmoid, and the widths are a setting.

#include <algorithm>
#include <utility>

#include "mambaseg/nets/blocks/patch2d.h"
#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {
namespace {

constexpr int64_t kPatch = 4;

/// The defaults are those of the repository's configuration for skin lesions.
struct VmUnetSettings {
  int64_t in_channels = 3;
  int64_t classes = 1;
  std::vector<int64_t> widths{96, 192, 384, 768};
  std::vector<int64_t> depths{2, 2, 2, 2};
  std::vector<int64_t> decoder_depths{2, 2, 2, 1};
  int64_t states = 16;
  double drop_path = 0.2;

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels; one (grey) is repeated to three", at_least(1));
    visit("classes", classes, "maps of scores; 1 is foreground against background", at_least(1));
    visit("widths", widths, "channels of the scales, as many as there are, each twice the one before",
          at_least(1));
    visit("depths", depths, "blocks in the encoder's stages, finest first", at_least(0));
    visit("decoder_depths", decoder_depths, "blocks in the decoder's stages, coarsest first", at_least(0));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("drop_path", drop_path,
          "training: chance that the deepest block's branch is left out for a sample; falls to 0 towards the "
          "finest",
          between(0, 1));
  }
};

/// VM-UNet (Ruan, Li, Xiang 2024).
class VmUnet : public Network {
 public:
  explicit VmUnet(const VmUnetSettings& settings);
  Extent size_multiples() const override { return cube(2, kPatch << (settings_.widths.size() - 1)); }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x_BCYX) override;

 private:
  struct Stage {
    std::shared_ptr<PatchMerging2d> down;  ///< after the blocks, or null
    std::shared_ptr<PatchExpand2d> up;     ///< before the blocks, or null
    std::vector<std::shared_ptr<VssBlock2d>> blocks;
    torch::Tensor forward(const torch::Tensor& x_BYXC) const;
  };

  VmUnetSettings settings_;
  std::shared_ptr<PatchEmbed2d> patch_embed_;
  std::vector<Stage> encoder_, decoder_;
  std::shared_ptr<PatchExpand2d> final_up_;
  std::shared_ptr<Convolution> final_conv_;
};

void check(const VmUnetSettings& s) {
  const size_t scales = s.widths.size();
  if (scales == 0 || s.depths.size() != scales || s.decoder_depths.size() != scales)
    throw UsageError(concat("widths, depths and decoder_depths: expected one number a scale each, got ",
                            scales, ", ", s.depths.size(), " and ", s.decoder_depths.size()));
  for (size_t i = 1; i < scales; ++i)
    if (s.widths[i] != 2 * s.widths[i - 1])
      throw UsageError(concat("widths: expected each to be twice the one before, got ", s.widths[i],
                              " after ", s.widths[i - 1]));
}

int64_t sum(const std::vector<int64_t>& counts) {
  int64_t total = 0;
  for (const int64_t count : counts) total += count;
  return total;
}

/// The repository cuts its normal start values at +-2, which is a hundred standard deviations away.
void initialise(torch::nn::Module& module) {
  torch::NoGradGuard no_grad;
  for (const auto& part : module.modules(/*include_self=*/false)) {
    auto* linear = dynamic_cast<Linear*>(part.get());
    if (linear == nullptr) continue;
    linear->weight.normal_(0, 0.02);
    if (linear->bias.defined()) linear->bias.zero_();
  }
}

VmUnet::VmUnet(const VmUnetSettings& s) : settings_(s) {
  check(s);
  // The official class keeps the whole network in a member of this name.
  auto body = register_module("vmunet", std::make_shared<torch::nn::Module>());
  const auto& w = s.widths;
  const size_t scales = w.size();
  patch_embed_ = body->register_module(
      "patch_embed", std::make_shared<PatchEmbed2d>(s.in_channels == 1 ? 3 : s.in_channels, w[0], kPatch));

  const auto make_stage = [&](torch::nn::Module& list, size_t scale, int64_t depth, const char* change,
                              const std::vector<double>& drop_path) {
    Stage stage;
    const auto holder =
        list.register_module(std::to_string(list.children().size()), std::make_shared<torch::nn::Module>());
    for (int64_t i = 0; i < depth; ++i) {
      Ss2dSettings mixer;
      mixer.width = w[scale];
      mixer.states = s.states;
      stage.blocks.push_back(std::make_shared<VssBlock2d>(mixer, drop_path[static_cast<size_t>(i)]));
    }
    register_list(*holder, "blocks", stage.blocks);
    if (change == std::string("downsample"))
      stage.down = holder->register_module(change, std::make_shared<PatchMerging2d>(w[scale]));
    if (change == std::string("upsample"))
      stage.up = holder->register_module(change, std::make_shared<PatchExpand2d>(2 * w[scale], 2));
    return stage;
  };
  const auto part = [](const std::vector<double>& all, int64_t& from, int64_t count) {
    const std::vector<double> taken(all.begin() + from, all.begin() + from + count);
    from += count;
    return taken;
  };

  auto layers = body->register_module("layers", std::make_shared<torch::nn::Module>());
  auto layers_up = body->register_module("layers_up", std::make_shared<torch::nn::Module>());
  const std::vector<double> down_chances = rising_drop_path(sum(s.depths), s.drop_path);
  std::vector<double> up_chances = rising_drop_path(sum(s.decoder_depths), s.drop_path);
  std::reverse(up_chances.begin(), up_chances.end());
  int64_t down_used = 0, up_used = 0;
  for (size_t i = 0; i < scales; ++i)
    encoder_.push_back(make_stage(*layers, i, s.depths[i], i + 1 < scales ? "downsample" : "",
                                  part(down_chances, down_used, s.depths[i])));
  for (size_t i = 0; i < scales; ++i)
    decoder_.push_back(make_stage(*layers_up, scales - 1 - i, s.decoder_depths[i], i > 0 ? "upsample" : "",
                                  part(up_chances, up_used, s.decoder_depths[i])));

  final_up_ = body->register_module("final_up", std::make_shared<PatchExpand2d>(w[0], kPatch));
  final_conv_ = body->register_module("final_conv", conv(2, w[0] / kPatch, s.classes, 1));
  initialise(*this);
}

torch::Tensor VmUnet::Stage::forward(const torch::Tensor& x) const {
  torch::Tensor y = up ? up->forward(x) : x;
  for (const auto& block : blocks) y = block->forward(y);
  return down ? down->forward(y) : y;
}

std::vector<torch::Tensor> VmUnet::scores(const torch::Tensor& input) {
  torch::Tensor x = patch_embed_->forward(input.size(1) == 1 ? input.repeat({1, 3, 1, 1}) : input);
  std::vector<torch::Tensor> skips;  // what entered each stage
  for (const Stage& stage : encoder_) {
    skips.push_back(x);
    x = stage.forward(x);
  }
  for (size_t i = 0; i < decoder_.size(); ++i)
    x = decoder_[i].forward(i == 0 ? x : x + std::exchange(skips[skips.size() - i], {}));
  return {final_conv_->forward(final_up_->forward(x).permute({0, 3, 1, 2}).contiguous())};
}

Json official_settings(const Json& a) {
  VmUnetSettings s;
  s.in_channels = argument<int64_t>(a, "in_chans", argument<int64_t>(a, "input_channels", 3));
  s.classes = argument<int64_t>(a, "num_classes", 1);
  s.widths = argument(a, "dims", s.widths);
  s.depths = argument<std::vector<int64_t>>(a, "depths", {2, 2, 9, 2});
  s.widths.resize(std::min(s.widths.size(), s.depths.size()));  // as many as there are depths are used
  s.decoder_depths = argument<std::vector<int64_t>>(a, "depths_decoder", {2, 9, 2, 2});
  s.states = argument<int64_t>(a, "d_state", 16);
  return to_json(s);
}

/// The official class does so where there is one class.
torch::Tensor sigmoid_of_one(const torch::Tensor& scores) {
  return scores.size(1) == 1 ? scores.sigmoid() : scores;
}

}  // namespace

NetworkEntry vm_unet_entry() {
  return network_entry<VmUnetSettings>(
      {.name = "vm_unet",
       .dims = {2},
       .source = "Ruan, Li, Xiang: VM-UNet: Vision Mamba UNet for Medical Image Segmentation, 2024; "
                 "github.com/JCruan519/VM-UNet",
       .summary = "U-Net of four-directional selective scans, without other convolutions than those inside "
                  "the blocks",
       .parameters = 27'427'561,
       .small =
           R"({"classes": 2, "widths": [8, 16, 32, 64], "depths": [1, 2, 1, 1], "states": 4, "drop_path": 0.0})",
       .small_edge = 64,
       .official = {{"JCruan519/VM-UNet", "VMUNet", official_settings, sigmoid_of_one}}},
      [](const VmUnetSettings& s) { return std::make_shared<VmUnet>(s); });
}

}  // namespace mambaseg
