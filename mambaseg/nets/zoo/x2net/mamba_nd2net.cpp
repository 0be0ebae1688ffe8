// MambaND2Net (nnUZoo, 2025), whose module names it keeps: U2-Net each stage of which, the coarsest scales
// too, is a small UNETR that reads its patches by Mamba layers, rows and columns, forwards and backwards in
// turn (Mamba-ND, Li et al. 2024). As in the original, a layer adds what its Mamba gives to the normed
// tokens, not to those that came.

#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/blocks/token_u.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct MambaNd2NetSettings : TokenNetSettings {
  int64_t states = 16;

  MambaNd2NetSettings() { in_channels = 1; }
  void describe(SettingsVisitor& visit) {
    TokenNetSettings::describe(visit);
    visit("states", states, "states of the selective scan a channel", between(1, 256));
  }
};

/// y + mamba(y), y = norm(tokens). Prefixes "norm", "mixer".
class NdLayer : public Layer {
 public:
  NdLayer(int64_t width, int64_t states, bool by_columns, bool backwards)
      : by_columns_(by_columns),
        backwards_(backwards),
        norm_(register_module("norm", std::make_shared<LayerNorm>(width))),
        mixer_(register_module(
            "mixer", std::make_shared<Mamba>(MambaSettings{.width = width, .states = states, .dims = 2}))) {}
  /// x (B, Y, X, width) -> the same sizes
  Tensor forward(const Tensor& x) override {
    const Tensor y = norm_->forward(x);
    if (!by_columns_) return y + mixer_->read(y, backwards_);
    return y + mixer_->read(y.transpose(1, 2).contiguous(), backwards_).transpose(1, 2);
  }

 private:
  bool by_columns_, backwards_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Mamba> mixer_;
};

/// Prefixes "patch_embed.projection", a depthwise convolution of whole patches and a pointwise one, "layers".
class NdReader : public TokenReader {
 public:
  NdReader(int64_t in, const TokenUShape& s, int64_t states) {
    const auto own = depthwise(2, in, s.patch, {.stride = cube(2, s.patch), .padding = cube(2, 0)});
    embed_ = register_module("patch_embed", std::make_shared<torch::nn::Module>())
                 ->register_module("projection",
                                   sequence({std::make_shared<MonaiConvolution>(own),
                                             std::make_shared<MonaiConvolution>(conv(2, in, s.hidden, 1))}));
    for (int64_t i = 0; i < s.layers; ++i)
      layers_.push_back(std::make_shared<NdLayer>(s.hidden, states, i / 2 % 2 == 1, i % 2 == 1));
    register_list(*this, "layers", layers_);
  }
  std::vector<Tensor> read(const Tensor& input) override {
    std::vector<Tensor> hidden;
    Tensor x = embed_->forward(input).permute({0, 2, 3, 1});
    for (const auto& layer : layers_) hidden.push_back(x = layer->forward(x));
    hidden.push_back(x);
    return hidden;
  }

 private:
  std::shared_ptr<Sequence> embed_;
  std::vector<std::shared_ptr<NdLayer>> layers_;
};

std::shared_ptr<TokenU> mamba_nd(int64_t in, int64_t out, const TokenUShape& shape, int64_t states,
                                 bool refines = false) {
  return std::make_shared<TokenU>(std::make_shared<NdReader>(in, shape, states),
                                  TokenU::Settings{in, out, shape, "mamba", refines});
}

class MambaNd2Net : public X2Net {
 public:
  explicit MambaNd2Net(const MambaNd2NetSettings& s)
      : X2Net(s, token_net_parts([&](int64_t number, bool decoder, int64_t in, int64_t out) {
                return mamba_nd(in, out, token_u_shape(s, number, decoder), s.states);
              })) {
    start_convolutions();
  }
  Extent size_multiples() const override { return cube(2, 32); }
};

Json official_settings(const Json& a) {
  MambaNd2NetSettings s;
  require_plane(a);
  read_x2net_arguments(a, s);
  return to_json(s);
}

}  // namespace

NetworkEntry mamba_nd2net_entry() {
  return hybrid_entry<MambaNd2NetSettings>(
      {.name = "mamba_nd2net",
       .dims = {2},
       .source = kX2NetSource,
       .summary = "U2-Net each stage of which is a UNETR of Mamba layers that read patches in turning orders",
       .parameters = 41'387'919,
       .small = R"({"classes": 3, "width": 4, "features": 1, "hidden": 8, "layers": [3, 3, 3, 3, 3, 3],
                    "states": 2})",
       .small_edge = 32,
       .official = {{kX2NetRepository, "MambaND2Net", official_settings}},
       .blocks = {{kX2NetRepository,
                   {"MambaND"},
                   [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
                     require_plane(a);
                     return mamba_nd(a.at("in_channels"), a.at("out_channels"), read_token_u_arguments(a), 16,
                                     argument(a, "conv_block", false));
                   }}}},
      [](const MambaNd2NetSettings& s) {
        s.check();
        return std::make_shared<MambaNd2Net>(s);
      });
}

}  // namespace mambaseg
