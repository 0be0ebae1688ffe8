// Networks with attention and their blocks, beyond what golden files and the sweep say.

#include <gtest/gtest.h>

#include "mambaseg/nets/blocks/window_attention.h"

namespace mambaseg {
namespace {

int64_t parameters(const std::string& name, Json settings) {
  settings["name"] = name;
  return parameter_count(*make_network(settings));
}

TEST(Transformers, HaveTheParametersOfTheOfficialClassesInOtherSettings) {
  EXPECT_EQ(parameters("tabsurfer",
                       {{"classes", 13}, {"widths", {16, 32, 64, 128}}, {"single_convolutions", false}}),
            72'851'341);
  EXPECT_EQ(parameters("swin_unetr", {{"feature_size", 48}}), 62'187'296);
  EXPECT_EQ(parameters("swin_unetr", {{"dims", 2}, {"in_channels", 3}, {"classes", 2}}), 6'302'900);
  EXPECT_EQ(parameters("swin_unet", {{"classes", 2}}), 27'168'228);
  EXPECT_EQ(parameters("trans_unet", {{"encoder", "patches"}, {"skips", 0}}), 91'674'201);
}

TEST(Transformers, RefuseWhatTheyCannotBe) {
  const auto refused = [](const std::string& name, Json changes) {
    Json settings = find_network(name).small;
    settings.update(changes);
    settings["name"] = name;
    EXPECT_THROW(make_network(settings), UsageError) << name << " " << changes;
  };
  refused("tabsurfer", {{"edge", 20}});
  refused("tabsurfer", {{"heads", 3}});
  refused("unetr", {{"size", {40}}});
  refused("unetr", {{"size", {32, 32, 32, 32}}});
  refused("swin_unet", {{"heads", {1}}});
  refused("swin_unet", {{"edge", 4}});
  refused("swin_unetr", {{"depths", {2, 2}}});
  refused("trans_unet", {{"encoder", "patches"}});
  refused("trans_unet", {{"edge", 40}});
  refused("trans_unet", {{"width", 16}});
}

/// The sum of value * (place + 1), as the golden files give it of tensors that they do not hold.
double indexed_sum(const torch::Tensor& t) {
  const torch::Tensor flat = t.flatten().to(torch::kDouble);
  return (flat * torch::arange(1, flat.numel() + 1, torch::kDouble)).sum().item<double>();
}

/// Swin Transformer's table of indices, pair by pair.
torch::Tensor table_of_indices(int64_t dims, int64_t edge) {
  int64_t tokens = 1;
  for (int64_t axis = 0; axis < dims; ++axis) tokens *= edge;
  torch::Tensor table = torch::zeros({tokens, tokens}, torch::kLong);
  auto to = table.accessor<int64_t, 2>();
  for (int64_t a = 0; a < tokens; ++a)
    for (int64_t b = 0; b < tokens; ++b)
      for (int64_t axis = 0, stride = tokens; axis < dims; ++axis) {
        stride /= edge;
        to[a][b] = to[a][b] * (2 * edge - 1) + a / stride % edge - b / stride % edge + edge - 1;
      }
  return table;
}

TEST(WindowAttention, KnowsTheTablesThatCheckpointsHold) {
  const std::tuple<int64_t, int64_t, double, double> cases[] = {
      {2, 7, 201684, 284633748}, {3, 7, 129178602, 8946513967986}, {3, 3, 45198, 19542546}};
  for (const auto& [dims, edge, sum, by_place] : cases) {
    const torch::Tensor table = table_of_indices(dims, edge);
    ASSERT_EQ(table.sum().item<int64_t>(), sum);
    ASSERT_EQ(indexed_sum(table), by_place);
    const WindowAttention attention({.width = 4, .heads = 2, .window = cube(dims, edge)});
    EXPECT_TRUE(attention.check_computed("relative_position_index", table));
    EXPECT_FALSE(attention.check_computed("qkv.weight", table));
    table[0][1] += 1;
    EXPECT_THROW(attention.check_computed("relative_position_index", table), Error);
  }
}

/// Swin Transformer's mask of a plane, window by window.
torch::Tensor mask(int64_t rows, int64_t columns, int64_t edge, int64_t shift) {
  const auto part = [&](int64_t place, int64_t size) {
    return place < size - edge ? 0 : place < size - shift ? 1 : 2;
  };
  std::vector<torch::Tensor> windows;
  for (int64_t y = 0; y < rows; y += edge)
    for (int64_t x = 0; x < columns; x += edge) {
      torch::Tensor labels = torch::zeros({edge, edge}, torch::kLong);
      for (int64_t i = 0; i < edge; ++i)
        for (int64_t j = 0; j < edge; ++j) labels[i][j] = 3 * part(y + i, rows) + part(x + j, columns);
      const torch::Tensor flat = labels.flatten();
      windows.push_back(-100 * (flat.unsqueeze(0) != flat.unsqueeze(1)).to(torch::kFloat));
    }
  return torch::stack(windows);
}

TEST(WindowAttention, KnowsTheMasksThatCheckpointsHold) {
  const torch::Tensor masks = mask(14, 21, 7, 3);
  ASSERT_EQ(masks.sum().item<double>(), -530400);
  ASSERT_EQ(indexed_sum(masks), -5338366800);
  const SwinBlock block({.width = 4, .heads = 2, .window = {7, 7}, .shifted = true}, 8, 0);
  EXPECT_TRUE(block.check_computed("attn_mask", masks));
  EXPECT_TRUE(block.check_computed("attn_mask", mask(56, 56, 7, 3)));
  EXPECT_THROW(block.check_computed("attn_mask", masks.flip(0)), Error);
}

// A token that no other resembles sees, in a grid as small as the window, what a token in a larger window at
// the same relative positions sees; MONAI's positions are others.
TEST(WindowAttention, GivesTheTokensOfASmallGridTheirOwnRelativePositions) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(3);
  const WindowSettings settings{.width = 4, .heads = 2, .window = {4, 4}};
  WindowSettings of_corner = settings;
  of_corner.corner_positions = true;
  WindowAttention attention(settings), corner(of_corner);
  for (auto& parameter : attention.named_parameters()) {
    parameter.value().normal_();
    corner.named_parameters()[parameter.key()].copy_(parameter.value());
  }
  const torch::Tensor whole = torch::randn({1, 4, 4, 4}), part = torch::randn({1, 4, 3, 4});
  EXPECT_TRUE(torch::equal(attention.forward(whole), corner.forward(whole)));
  EXPECT_FALSE(torch::allclose(attention.forward(part), corner.forward(part)));
  // A window that is as wide as the small grid, with the part of the table that belongs to it.
  WindowAttention narrow({.width = 4, .heads = 2, .window = {4, 3}});
  for (auto& parameter : narrow.named_parameters()) {
    const torch::Tensor given = attention.named_parameters()[parameter.key()];
    parameter.value().copy_(parameter.key() != "relative_position_bias_table"
                                ? given
                                : given.view({7, 7, 2}).slice(1, 1, 6).reshape({35, 2}));
  }
  EXPECT_TRUE(torch::allclose(attention.forward(part), narrow.forward(part), 1e-5, 1e-6));
}

TEST(LearntPositions, AreInterpolatedBetweenTheirOutermostPlaces) {
  const torch::NoGradGuard no_grad;
  LearntPositions positions({2, 3}, 1);
  positions.parameters()[0].copy_(torch::tensor({0.f, 1.f, 2.f, 10.f, 11.f, 12.f}).view({1, 6, 1}));
  const torch::Tensor added = positions.forward(torch::zeros({1, 3, 5, 1})).view({3, 5});
  EXPECT_TRUE(torch::allclose(added[0], torch::linspace(0, 2, 5)));
  EXPECT_TRUE(torch::allclose(added[1], torch::linspace(5, 7, 5)));
  EXPECT_TRUE(torch::allclose(added[2], torch::linspace(10, 12, 5)));
}

}  // namespace
}  // namespace mambaseg
