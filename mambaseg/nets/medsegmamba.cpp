// MedSegMamba: 3D CNN-Mamba Hybrid Architecture for Brain Segmentation (Cao, Li, Guo 2024), after its public
// code. A residual U-Net whose bottleneck is a stack of selective scan blocks at 1/8 resolution: each block
// reads its tokens along eight walks, and six orientations in turn cover all 48 ways to lay the axes of a
// cube. The bottlenecks that the code also offers (other walks, attention) are settings. Unlike there, grids
// of any size work.

#include "mambaseg/nets/medsegmamba.h"

#include <cmath>

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>

#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/ss3d.h"
#include "mambaseg/nets/blocks/transformer_bottleneck.h"

namespace mambaseg {
namespace {

namespace nn = torch::nn;

constexpr int64_t kTokenEdge = 8;  // voxels a token spans

/// Channels of the last block.
int64_t final_width(const MedSegMambaShell& s) {
  if (s.full_final_block) return 2 * s.widths[0];
  return s.classes <= s.widths[0] ? s.widths[0] : s.classes + 8 - s.classes % 8;
}

void check(const MedSegMambaShell& s) {
  if (s.widths.size() != 4) throw UsageError(concat("widths: expected 4 numbers, got ", s.widths.size()));
  for (const int64_t width : s.widths)
    if (width % 8 != 0) throw UsageError(concat("widths: expected multiples of 8, got ", width));
}

}  // namespace

std::shared_ptr<TokenModule> make_medsegmamba_bottleneck(const MedSegMambaSettings& s) {
  if (s.bottleneck == "transformer") {
    const int64_t edge = s.edge / kTokenEdge;
    return std::make_shared<TransformerBottleneck>(
        TransformerSettings{s.token_width, edge * edge * edge, s.heads, s.layers, s.mlp_dropout, s.dropout});
  }
  if (!s.orientations.empty() && static_cast<int64_t>(s.orientations.size()) != s.layers)
    throw UsageError(concat("orientations: expected one for each of the ", s.layers, " layers, got ",
                            s.orientations.size()));
  const int64_t hidden = s.bottleneck == "vanilla" ? 0 : s.mlp_ratio * s.token_width;
  const MixerBlockSettings block{s.token_width, hidden, s.mlp_dropout, s.drop_path};
  std::vector<std::shared_ptr<TokenModule>> blocks;
  for (int64_t i = 0; i < s.layers; ++i) {
    Ss3dSettings mixer;
    mixer.width = s.token_width;
    mixer.states = s.states;
    mixer.conv_kernel = s.conv_kernel;
    mixer.expand = s.expand;
    mixer.dt_rank = s.dt_rank;
    mixer.dropout = s.dropout;
    mixer.bias = s.ssm_bias;
    mixer.variant = s.bottleneck;
    mixer.walk = s.walk;
    mixer.orientation = s.orientations.empty() ? i : s.orientations[static_cast<size_t>(i)];
    blocks.push_back(std::make_shared<MixerBlock3d>(block, std::make_shared<SS3D>(mixer)));
  }
  return std::make_shared<MixerStack3d>(std::move(blocks));
}

MedSegMamba::MedSegMamba(const MedSegMambaShell& s, std::shared_ptr<TokenModule> bottleneck)
    : bottleneck_(std::move(bottleneck)) {
  check(s);
  const ConvStyle style{s.preactivation, s.plain_identity};
  const std::vector<int64_t>& w = s.widths;
  const auto conv3 = [](int64_t in, int64_t out) { return Conv3d(nn::Conv3dOptions(in, out, 3).padding(1)); };
  const auto res = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, std::make_shared<ResBlock3d>(in, out, style));
  };
  const auto down = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, std::make_shared<DownBlock3d>(in, out, s.max_pool, style));
  };
  const auto up = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, std::make_shared<UpBlock3d>(in, out, s.nearest_up, style));
  };

  if (s.preactivation) preconv_ = register_module("preconv", conv3(s.in_channels, w[0]));
  conv1_ = res("Conv1", s.preactivation ? w[0] : s.in_channels, w[0]);
  downconv1_ = down("downconv1", w[0], w[1]);
  downconv2_ = down("downconv2", w[1], w[2]);
  downconv3_ = down("downconv3", w[2], w[3]);

  gn_ = register_module("gn", GroupNorm(8, w[3]));
  expand_ = register_module("expand", conv3(w[3], s.token_width));
  register_module("bottleneck", bottleneck_);
  pre_head_ln_ = register_module("pre_head_ln", LayerNorm(nn::LayerNormOptions({s.token_width})));
  compress_ = register_module("compress", std::make_shared<ConvBlock3d>(s.token_width, w[3]));

  up4_ = up("Up4", w[3], w[2]);
  up_conv4_ = res("Up_conv4", 2 * w[2], w[2]);
  up3_ = up("Up3", w[2], w[1]);
  up_conv3_ = res("Up_conv3", 2 * w[1], w[1]);
  up2_ = up("Up2", w[1], w[0]);
  up_conv2_ = res("Up_conv2", 2 * w[0], final_width(s));
  conv_1x1_ = register_module("Conv_1x1", Conv3d(nn::Conv3dOptions(final_width(s), s.classes, 1)));
}

torch::Tensor MedSegMamba::logits(const torch::Tensor& input, const Observer& observe) {
  const auto seen = [&](const char* module, const torch::Tensor& output) {
    if (observe) observe(module, output);
  };
  for (int64_t axis = 2; axis < 5; ++axis)
    require(input.dim() == 5 && input.size(axis) % size_multiple() == 0,
            "MedSegMamba: expected (batch, channel, Z, Y, X) with edges that are multiples of ",
            size_multiple(), ", got ", input.sizes());
  // A skip lives until its concatenation, so that at full resolution nothing else is held.
  torch::Tensor skip1 = conv1_->forward(preconv_.is_empty() ? input : preconv_->forward(input));
  torch::Tensor skip2 = downconv1_->forward(skip1);
  torch::Tensor skip3 = downconv2_->forward(skip2);
  seen("downconv2", skip3);
  torch::Tensor x = downconv3_->forward(skip3);

  x = expand_->forward(gn_->run(x, {Activation::relu, {}}));
  x = bottleneck_->forward(x.permute({0, 2, 3, 4, 1}));
  seen("bottleneck", x);
  x = pre_head_ln_->forward(x).permute({0, 4, 1, 2, 3});
  x = compress_->forward(x);

  const auto joined = [](torch::Tensor& skip, const torch::Tensor& up) {
    return torch::cat({std::exchange(skip, {}), up}, 1);
  };
  x = up_conv4_->forward(joined(skip3, up4_->forward(x)));
  seen("Up_conv4", x);
  x = up_conv3_->forward(joined(skip2, up3_->forward(x)));
  x = up_conv2_->forward(joined(skip1, up2_->forward(x)));
  return conv_1x1_->forward(x);
}

std::shared_ptr<MedSegMamba> make_medsegmamba(const MedSegMambaSettings& settings) {
  return std::make_shared<MedSegMamba>(settings, make_medsegmamba_bottleneck(settings));
}

NetworkEntry medsegmamba_entry() {
  return {"medsegmamba",
          {3},
          "Cao, Li, Guo: MedSegMamba: 3D CNN-Mamba Hybrid Architecture for Brain Segmentation, 2024; "
          "github.com/aaroncao06/MedSegMamba",
          "Residual U-Net with a bottleneck of 48-directional selective scans",
          84'400'736,
          [](const Json& settings) -> std::shared_ptr<Network> {
            return make_medsegmamba(from_json<MedSegMambaSettings>(settings));
          },
          [] { return to_json(MedSegMambaSettings{}); },
          [] { return documentation<MedSegMambaSettings>(); },
          [] {
            return Json{{"classes", 3}, {"widths", {8, 16, 24, 32}}, {"token_width", 12}, {"layers", 2},
                        {"states", 4},  {"drop_path", 0.0},          {"_edge", 16}};
          }};
}

}  // namespace mambaseg
