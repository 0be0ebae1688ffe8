// U-Mamba's layer and its networks.

#include "mambaseg/nets/umamba.h"

#include "tests/golden_check/unet_check.h"

namespace mambaseg {
namespace {

template <class Settings>
Settings umamba_settings(const GoldenCase& g, int64_t dimension) {
  Settings s;
  read_shape(g, dimension, s);
  s.convolutions = per_stage_argument(g, "n_conv_per_stage");
  s.decoder_convolutions = per_stage_argument(g, "n_conv_per_stage_decoder");
  return s;
}

template <int64_t dimension>
GoldenResult check_bot(const GoldenCase& g) {
  return check_unet(g, make_umamba_bot(umamba_settings<UMambaSettings>(g, dimension)));
}

template <int64_t dimension>
GoldenResult check_enc(const GoldenCase& g) {
  auto s = umamba_settings<UMambaEncSettings>(g, dimension);
  s.patch = g.args.at("input_size").get<Extent>();
  return check_unet(g, make_umamba_enc(s));
}

GoldenResult check_layer(const GoldenCase& g) {
  MambaSettings s;
  s.width = g.args.at("dim");
  s.states = argument(g, "d_state", s.states);
  s.conv_kernel = argument(g, "d_conv", s.conv_kernel);
  s.expand = argument(g, "expand", s.expand);
  const auto layer = std::make_shared<UMambaLayer>(s, argument(g, "channel_token", false));
  return check_module(g, *layer, [&](const torch::Tensor& x) { return layer->forward(x); });
}

constexpr GoldenCheck kChecks[] = {
    {"UMambaBot (2d)", check_bot<2>},
    {"UMambaBot (3d)", check_bot<3>},
    {"UMambaEnc (2d)", check_enc<2>},
    {"UMambaEnc (3d)", check_enc<3>},
    {"UMambaBot_2d.MambaLayer", check_layer},
    {"UMambaBot_3d.MambaLayer", check_layer},
    {"UMambaEnc_2d.MambaLayer", check_layer},
    {"UMambaEnc_3d.MambaLayer", check_layer},
    {"UMambaEnc_2d.MambaLayer(channel_token=True)", check_layer},
    {"UMambaEnc_3d.MambaLayer(channel_token=True)", check_layer},
};

}  // namespace

std::span<const GoldenCheck> umamba_checks() { return kChecks; }

}  // namespace mambaseg
