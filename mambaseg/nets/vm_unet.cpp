// VM-UNet: Vision Mamba UNet for Medical Image Segmentation (Ruan, Li, Xiang 2024), after its public code. A
// U-Net of selective scan blocks alone: patches of 4 x 4 pixels become tokens, scales (four there) of
// VMamba's first block on the way down and up, and the encoder's tokens are added (not concatenated) before
// the grid grows. Unlike there, forward returns scores before the sigmoid, and the widths are a setting.

#include "mambaseg/nets/vm_unet.h"

#include <algorithm>
#include <utility>

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

namespace mambaseg {
namespace {

namespace nn = torch::nn;

constexpr int64_t kPatch = 4;

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
void initialise(nn::Module& module) {
  torch::NoGradGuard no_grad;
  for (const auto& part : module.modules(/*include_self=*/false)) {
    auto* linear = part->as<nn::Linear>();
    if (linear == nullptr) continue;
    linear->weight.normal_(0, 0.02);
    if (linear->bias.defined()) linear->bias.zero_();
  }
}

}  // namespace

VmUnet::VmUnet(const VmUnetSettings& s) : settings_(s) {
  check(s);
  // The official class keeps the whole network in a member of this name.
  auto body = register_module("vmunet", std::make_shared<nn::Module>());
  const auto& w = s.widths;
  const size_t scales = w.size();
  patch_embed_ = body->register_module(
      "patch_embed", std::make_shared<PatchEmbed2d>(s.in_channels == 1 ? 3 : s.in_channels, w[0], kPatch));

  const auto make_stage = [&](nn::ModuleListImpl& list, size_t scale, int64_t depth, const char* change,
                              const std::vector<double>& drop_path) {
    Stage stage;
    auto holder = std::make_shared<nn::Module>();
    auto blocks = holder->register_module("blocks", nn::ModuleList());
    for (int64_t i = 0; i < depth; ++i) {
      Ss2dSettings mixer;
      mixer.width = w[scale];
      mixer.states = s.states;
      stage.blocks.push_back(std::make_shared<VssBlock2d>(mixer, drop_path[static_cast<size_t>(i)]));
      blocks->push_back(std::static_pointer_cast<nn::Module>(stage.blocks.back()));
    }
    if (change == std::string("downsample"))
      stage.down = holder->register_module(change, std::make_shared<PatchMerging2d>(w[scale]));
    if (change == std::string("upsample"))
      stage.up = holder->register_module(change, std::make_shared<PatchExpand2d>(2 * w[scale], 2));
    list.push_back(holder);
    return stage;
  };
  const auto part = [](const std::vector<double>& all, int64_t& from, int64_t count) {
    const std::vector<double> taken(all.begin() + from, all.begin() + from + count);
    from += count;
    return taken;
  };

  auto layers = body->register_module("layers", nn::ModuleList());
  auto layers_up = body->register_module("layers_up", nn::ModuleList());
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
  final_conv_ = body->register_module("final_conv", Conv2d(nn::Conv2dOptions(w[0] / kPatch, s.classes, 1)));
  initialise(*this);
}

torch::Tensor VmUnet::Stage::forward(const torch::Tensor& x) const {
  torch::Tensor y = up ? up->forward(x) : x;
  for (const auto& block : blocks) y = block->forward(y);
  return down ? down->forward(y) : y;
}

int64_t VmUnet::size_multiple() const { return kPatch << (settings_.widths.size() - 1); }

std::vector<torch::Tensor> VmUnet::forward(const torch::Tensor& input) {
  require(input.dim() == 4 && input.size(2) % size_multiple() == 0 && input.size(3) % size_multiple() == 0,
          "vm_unet: expected (batch, channel, Y, X) with edges that are multiples of ", size_multiple(),
          ", got ", input.sizes());
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

NetworkEntry vm_unet_entry() {
  return {
      "vm_unet",
      {2},
      "Ruan, Li, Xiang: VM-UNet: Vision Mamba UNet for Medical Image Segmentation, 2024; "
      "github.com/JCruan519/VM-UNet",
      "U-Net of four-directional selective scans, without other convolutions than those inside the blocks",
      27'427'561,
      [](const Json& settings) -> std::shared_ptr<Network> {
        return std::make_shared<VmUnet>(from_json<VmUnetSettings>(settings));
      },
      [] { return to_json(VmUnetSettings{}); },
      [] { return documentation<VmUnetSettings>(); },
      [] {
        return Json{{"classes", 2}, {"widths", {8, 16, 32, 64}}, {"depths", {1, 2, 1, 1}},
                    {"states", 4},  {"drop_path", 0.0},          {"_edge", 64}};
      }};
}

}  // namespace mambaseg
