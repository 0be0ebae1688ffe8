// nnU-Net's networks and blocks.

#include "mambaseg/nets/plain_unet.h"
#include "mambaseg/nets/resenc_unet.h"
#include "tests/golden_check/unet_check.h"

namespace mambaseg {
namespace {

int64_t dimension_of(const GoldenCase& g) { return g.args.at("dim") == "2d" ? 2 : 3; }

GoldenResult check_plain_unet(const GoldenCase& g) {
  PlainUNetSettings s;
  read_shape(g, dimension_of(g), s);
  s.convolutions = per_stage_argument(g, "n_conv_per_stage");
  s.decoder_convolutions = per_stage_argument(g, "n_conv_per_stage_decoder");
  return check_unet(g, make_plain_unet(s));
}

GoldenResult check_resenc_unet(const GoldenCase& g) {
  ResencUNetSettings s;
  read_shape(g, dimension_of(g), s);
  s.blocks = per_stage_argument(g, "n_blocks_per_stage");
  s.decoder_convolutions = per_stage_argument(g, "n_conv_per_stage_decoder");
  s.squeeze_excitation = argument(g, "squeeze_excitation", argument(g, "se", false));
  return check_unet(g, make_resenc_unet(s));
}

GoldenResult check_block(const GoldenCase& g) {
  const auto axes = static_cast<size_t>(dimension_of(g));
  const auto extent = [&](const char* name, int64_t otherwise) {
    const auto found = g.args.find(name);
    if (found == g.args.end()) return Extent(axes, otherwise);
    return found->is_number() ? Extent(axes, found->get<int64_t>()) : found->get<Extent>();
  };
  const auto block = std::make_shared<BasicBlockD>(g.args.at("cin"), g.args.at("cout"), extent("kernel", 3),
                                                   extent("stride", 1), argument(g, "se", false));
  return check_module(g, *block, [&](const torch::Tensor& x) { return block->forward(x); });
}

constexpr GoldenCheck kChecks[] = {
    {"PlainConvUNet", check_plain_unet},
    {"ResidualEncoderUNet", check_resenc_unet},
    {"BasicBlockD(squeeze_excitation)", check_block},
    {"BasicBlockD", check_block},
};

}  // namespace

std::span<const GoldenCheck> nnunet_checks() { return kChecks; }

}  // namespace mambaseg
