#include "mambaseg/nets/blocks/token_u.h"

#include "mambaseg/nets/blocks/lightm_blocks.h"

namespace mambaseg {

using torch::Tensor;

TokenUShape read_token_u_arguments(const Json& a) {
  return {argument<int64_t>(a, "feature_size", 16),
          argument<int64_t>(a, "hidden_size", 768),
          argument<int64_t>(a, "num_layers", 7),
          a.contains("patch_size") ? a["patch_size"].get<Extent>()[0] : 16,
          argument<Extent>(a, "encoder_layers", {2, 1, 0}),
          argument<Extent>(a, "decoder_scale", {2, 2, 2, 2})};
}

TokenU::TokenU(std::shared_ptr<TokenReader> reader, const Settings& s)
    : reader_(register_module(s.reader_name, std::move(reader))) {
  const int64_t f = s.shape.features, hidden = s.shape.hidden;
  encoder1_ = register_module("encoder1", std::make_shared<UnetrBasicBlock>(2, s.in, f));
  for (size_t i = 0; i < 3; ++i)
    raise_.push_back(register_module(
        "encoder" + std::to_string(i + 2),
        std::make_shared<UnetrPrUpBlock>(2, hidden, (2 * f) << i, s.shape.raised.at(i), s.refines)));
  for (size_t i = 0; i < 4; ++i) {
    const int64_t wide = (8 * f) >> i;
    up_.push_back(register_module(
        "decoder" + std::to_string(5 - i),
        std::make_shared<UnetrUpBlock>(2, i == 0 ? hidden : 2 * wide, wide, s.shape.scales.at(i))));
  }
  head_ = register_module("out", unetr_head(2, f, s.out));
  if (s.adds_input) around_ = register_module("rebnconvin", separable_conv(2, s.in, s.out));
  const auto last = static_cast<double>(s.shape.layers - 1);
  for (const double place : {2.0, (2 + last) / 2, last}) watched_.push_back(static_cast<size_t>(place));
}

Tensor TokenU::forward(const Tensor& input) {
  const auto first = [](const Tensor& tokens) { return tokens.permute({0, 3, 1, 2}); };
  const std::vector<Tensor> hidden = reader_->read(input);
  Tensor x = first(hidden.back());
  for (size_t i = 0; i < 3; ++i)
    x = up_[i]->forward(x, raise_[2 - i]->forward(first(hidden[watched_[2 - i]])));
  const Tensor scores = head_->forward(up_[3]->forward(x, encoder1_->forward(input)));
  return around_ ? scores + around_->forward(input) : scores;
}

void TokenNetSettings::check() const {
  if (layers.size() != 6) throw UsageError(concat("layers: expected 6 numbers, got ", layers.size()));
}

TokenUShape token_u_shape(const TokenNetSettings& s, int64_t number, bool decoder) {
  const bool between = decoder && number > 1 && number < 5;
  const int64_t grid = std::min<int64_t>(between ? number + 1 : number, 5),
                scale = std::min<int64_t>(number, 5);
  const int64_t features[] = {1, 1, between ? 1 : 2, 2, 4}, patches[] = {16, 16, 8, 4, 2};
  const std::vector<int64_t> raised[] = {{2, 1, 0}, {2, 1, 0}, {2, 1, 0}, {1, 1, 0}, {0, 0, 0}},
                             scales[] = {
                                 {2, 2, 2, 2}, {2, 2, 2, 2}, {2, 2, 2, 1}, {2, 2, 1, 1}, {2, 1, 1, 1}};
  return {s.features * features[scale - 1],
          s.hidden << std::min<int64_t>(scale - 1, 2),
          s.layers[static_cast<size_t>(number - 1)],
          patches[grid - 1],
          raised[grid - 1],
          scales[grid - 1]};
}

X2NetParts token_net_parts(
    std::function<std::shared_ptr<Layer>(int64_t number, bool decoder, int64_t in, int64_t out)> stage) {
  const auto scale = [](int64_t number) { return cube(2, number < 5 ? 2 : 1); };
  return {
      .stage = std::move(stage),
      .merging =
          [scale](int64_t number, int64_t in, int64_t out) {
            return std::make_shared<GridMerging>(GridMerging::Settings{in, out, scale(number)});
          },
      .expanding = [scale](int64_t number, int64_t in,
                           int64_t out) { return std::make_shared<GridExpanding>(in, out, scale(number)); },
      .last_merging = 5,
      .first_expanding = 5,
      .pointwise_heads = true};
}

}  // namespace mambaseg
