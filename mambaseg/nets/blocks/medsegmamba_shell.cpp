#include "mambaseg/nets/blocks/medsegmamba_shell.h"

#include <utility>

#include "mambaseg/nets/layers/resampling.h"

namespace mambaseg {
namespace {

/// Channels of the last block.
int64_t final_width(const MedSegMambaShell& s) {
  if (s.final_width > 0) return s.final_width;
  if (s.full_final_block) return 2 * s.widths[0];
  return s.classes <= s.widths[0] ? s.widths[0] : s.classes + 8 - s.classes % 8;
}

void check(const MedSegMambaShell& s) {
  if (s.widths.size() != 4) throw UsageError(concat("widths: expected 4 numbers, got ", s.widths.size()));
  for (const int64_t width : s.widths)
    if (width % 8 != 0) throw UsageError(concat("widths: expected multiples of 8, got ", width));
}

}  // namespace

MedSegMamba::MedSegMamba(const MedSegMambaShell& s, std::shared_ptr<Layer> bottleneck)
    : fold_(s.fold), head_norm_(s.head_norm), bottleneck_(std::move(bottleneck)) {
  check(s);
  const int64_t voxels = s.fold * s.fold * s.fold;  // of the image in one of the folded grid
  const ConvStyle style{s.preactivation, s.plain_identity, s.single_convolutions};
  const std::vector<int64_t>& w = s.widths;
  const auto conv3 = [](int64_t in, int64_t out) { return conv(3, in, out, 3); };
  const auto res = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, std::make_shared<ResBlock3d>(in, out, style));
  };
  const auto down = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, std::make_shared<DownBlock3d>(in, out, s.max_pool, style));
  };
  const auto up = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, std::make_shared<UpBlock3d>(in, out, s.nearest_up, style));
  };

  if (s.preactivation) preconv_ = register_module("preconv", conv3(s.in_channels * voxels, w[0]));
  conv1_ = res("Conv1", s.preactivation ? w[0] : s.in_channels * voxels, w[0]);
  downconv1_ = down("downconv1", w[0], w[1]);
  downconv2_ = down("downconv2", w[1], w[2]);
  downconv3_ = down("downconv3", w[2], w[3]);

  gn_ = register_module("gn", std::make_shared<GroupNorm>(8, w[3]));
  expand_ = register_module("expand", conv3(w[3], s.token_width));
  register_module("bottleneck", bottleneck_);
  pre_head_ln_ = register_module("pre_head_ln", std::make_shared<LayerNorm>(s.token_width));
  compress_ = register_module("compress", std::make_shared<ConvBlock3d>(s.token_width, w[3]));

  up4_ = up("Up4", w[3], w[2]);
  up_conv4_ = res("Up_conv4", 2 * w[2], w[2]);
  up3_ = up("Up3", w[2], w[1]);
  up_conv3_ = res("Up_conv3", 2 * w[1], w[1]);
  up2_ = up("Up2", w[1], w[0]);
  up_conv2_ = res("Up_conv2", 2 * w[0], final_width(s));
  conv_1x1_ = register_module("Conv_1x1", conv(3, final_width(s), s.classes * voxels, 1));
}

std::vector<torch::Tensor> MedSegMamba::scores(const torch::Tensor& image) {
  const torch::Tensor input = fold_ == 1 ? image : folded(image, fold_);
  // A skip lives until its concatenation, so that at full resolution nothing else is held.
  torch::Tensor skip1 = conv1_->forward(preconv_ ? preconv_->forward(input) : input);
  torch::Tensor skip2 = downconv1_->forward(skip1);
  torch::Tensor skip3 = downconv2_->forward(skip2);
  seen("downconv2", skip3);
  torch::Tensor x = downconv3_->forward(skip3);

  x = expand_->forward(gn_->run(x, {Activation::relu, {}}));
  x = bottleneck_->forward(x.permute({0, 2, 3, 4, 1}));
  seen("bottleneck", x);
  if (head_norm_) x = pre_head_ln_->forward(x);
  x = compress_->forward(x.permute({0, 4, 1, 2, 3}));

  const auto joined = [](torch::Tensor& skip, const torch::Tensor& up) {
    return torch::cat({std::exchange(skip, {}), up}, 1);
  };
  x = up_conv4_->forward(joined(skip3, up4_->forward(x)));
  seen("up_conv4", x);
  x = up_conv3_->forward(joined(skip2, up3_->forward(x)));
  x = up_conv2_->forward(joined(skip1, up2_->forward(x)));
  x = conv_1x1_->forward(x);
  return {fold_ == 1 ? x : unfolded(x, fold_)};
}

}  // namespace mambaseg
