#pragma once

#include "mambaseg/nets/blocks/unetr_blocks.h"
#include "mambaseg/nets/blocks/x2net.h"

/// What the networks of nnUZoo share whose stages are small UNETRs (UNETR2Net, MambaND2Net).
namespace mambaseg {

/// Reads an image as tokens, layer by layer.
class TokenReader : public Module {
 public:
  /// x (B, C, Y, X) -> tokens (B, Y / patch, X / patch, hidden) behind each layer, and last of all what the
  /// decoder starts from.
  virtual std::vector<torch::Tensor> read(const torch::Tensor& x_BCYX) = 0;
};

/// Of one stage.
struct TokenUShape {
  int64_t features;             ///< channels at full resolution
  int64_t hidden, layers;       ///< channels and layers of the reader
  int64_t patch;                ///< edge of what becomes a token
  std::vector<int64_t> raised;  ///< further doublings of what the three watched layers give
  std::vector<int64_t> scales;  ///< of the decoder, coarsest first
};

/// The arguments that their constructors share: feature_size, hidden_size, num_layers, patch_size,
/// encoder_layers, decoder_scale.
TokenUShape read_token_u_arguments(const Json& arguments);

/// UNETR's convolutional decoder around a reader: it joins what three of the reader's layers and the last
/// give. Prefixes "encoder1" to "encoder4", "decoder5" to "decoder2", "out"; the reader's is given.
/// `refines`: residual blocks behind the transposed convolutions of what is watched. `adds_input`: a
/// separable convolution of the input is added, "rebnconvin".
class TokenU : public Layer {
 public:
  struct Settings {
    int64_t in, out;
    TokenUShape shape;
    const char* reader_name;
    bool refines = false;
    bool adds_input = false;
  };
  TokenU(std::shared_ptr<TokenReader> reader, const Settings& settings);
  /// x (B, in, Y, X) -> (B, out, Y, X)
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  std::shared_ptr<TokenReader> reader_;
  std::shared_ptr<Layer> encoder1_, head_, around_;
  std::vector<std::shared_ptr<UnetrPrUpBlock>> raise_;  ///< finest first
  std::vector<std::shared_ptr<UnetrUpBlock>> up_;       ///< coarsest first
  std::vector<size_t> watched_;                         ///< layers, for the finest first
};

struct TokenNetSettings : X2NetSettings {
  int64_t features = 4;
  int64_t hidden = 96;
  std::vector<int64_t> layers{7, 6, 5, 4, 4, 4};

  void describe(SettingsVisitor& visit) {
    visit("in_channels", in_channels, "image channels", at_least(1));
    visit("classes", classes, "classes, background included", at_least(2));
    visit("width", width, "channels of the finest scale, doubled to the fifth", at_least(4));
    visit("deep_supervision", deep_supervision, "scores of each scale too while training");
    visit("features", features, "channels at full resolution inside the finest U", at_least(1));
    visit("hidden", hidden, "channels of the finest scale's tokens, doubled to the third", at_least(1));
    visit("layers", layers, "layers that read the tokens of the six scales, finest first", at_least(3));
  }
  /// UsageError unless there are six numbers of layers.
  void check() const;
};

/// Of stage `number`, the finest being 1. In the decoder patches of the scales between are as large as one
/// scale coarser in the encoder.
TokenUShape token_u_shape(const TokenNetSettings& settings, int64_t number, bool decoder);

/// Those stages with merging and expanding of patches between them; the two coarsest share a grid. Sizes are
/// multiples of 32.
X2NetParts token_net_parts(
    std::function<std::shared_ptr<Layer>(int64_t number, bool decoder, int64_t in, int64_t out)> stage);

}  // namespace mambaseg
