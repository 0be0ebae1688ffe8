#include <gtest/gtest.h>

#include "mambaseg/nets/blocks/lbmnet_blocks.h"
#include "mambaseg/nets/blocks/mamba.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {
namespace {

int64_t parameters(const std::string& name, Json settings = Json::object()) {
  settings["name"] = name;
  return parameter_count(*make_network(settings));
}

double millions(const Json& settings) { return static_cast<double>(parameters("lbmnet", settings)) / 1e6; }

constexpr int64_t kEncoderBlocks = 53'667'840;  // of reading A, see PartsOfReadingAHaveTheirParameters

/// Reading A with settings that leave its encoder blocks alone: those are counted, not built, which keeps
/// these tests quick.
int64_t with_encoder_blocks(Json settings) {
  settings["blocks"] = {0, 0, 0, 0, 0};
  return parameters("lbmnet", settings) + kEncoderBlocks;
}

double millions_with_encoder_blocks(const Json& settings) {
  return static_cast<double>(with_encoder_blocks(settings)) / 1e6;
}

constexpr double kPrinted = 0.005;  // the paper prints two digits of a million

TEST(LbmNet, BothReadingsHaveTheirParameters) {
  EXPECT_EQ(parameters("lbmnet"), 66'419'480);
  EXPECT_EQ(with_encoder_blocks(Json::object()), 66'419'480);
  EXPECT_EQ(with_encoder_blocks({{"in_channels", 2}}), 66'419'480 + 1'080);
  EXPECT_EQ(parameters("lbmnet_b"), 66'416'310);
  // Without the block at full resolution, which holds most of the tokens.
  EXPECT_EQ(with_encoder_blocks({{"bsc_first_level", false}}), 66'419'480 - 51'720);
}

TEST(LbmNet, PartsOfReadingAHaveTheirParameters) {
  const int64_t lsc[] = {460'160, 2'532'480, 12'897'280, 37'777'920}, blocks[] = {2, 3, 4, 3};
  const int64_t bagf[] = {8'928, 30'448, 113'008, 436'528}, bsc[] = {51'720, 156'400, 525'600, 1'902'400};
  int64_t encoder = 0;
  for (int level = 0; level < 4; ++level) {
    const int64_t width = 40 << level;
    encoder += lsc[level];
    EXPECT_EQ(blocks[level] * parameter_count(LscBlock(3, 2 * width, {})), lsc[level]);
    EXPECT_EQ(parameter_count(BagfBlock(3, width, {})), bagf[level]);
    EXPECT_EQ(parameter_count(BscBlock(3, width, {})), bsc[level]);
  }
  EXPECT_EQ(encoder, kEncoderBlocks);
}

TEST(LbmNet, Table7EncoderBlocks) {
  EXPECT_NEAR(millions({{"encoder", "residual_2"}}), 106.09, kPrinted);
  EXPECT_NEAR(millions({{"encoder", "residual_1"}}), 59.42, kPrinted);
  const auto single = [](int64_t kernel) {
    return Json{{"lsc_kernels", {kernel}}, {"lsc_refinement", "none"}};
  };
  EXPECT_NEAR(millions(single(5)), 16.71, kPrinted);
  EXPECT_NEAR(millions(single(7)), 17.54, kPrinted);
  EXPECT_NEAR(millions(single(9)), 19.03, kPrinted);
  EXPECT_NEAR(millions({{"lsc_refinement", "none"}}), 19.76, kPrinted);
}

TEST(LbmNet, Table8DecoderParts) {
  EXPECT_NEAR(millions_with_encoder_blocks({{"bsc_spatial", false}, {"bsc_scan", "none"}}), 63.78, kPrinted);
  EXPECT_NEAR(millions_with_encoder_blocks({{"bsc_scan", "none"}}), 64.31, kPrinted);
  EXPECT_NEAR(millions_with_encoder_blocks({{"bsc_spatial", false}}), 65.89, kPrinted);
}

TEST(LbmNet, Table9Directions) {
  EXPECT_NEAR(millions_with_encoder_blocks({{"bsc_scan", "one_way"}}), 65.37, kPrinted);
  EXPECT_NEAR(millions_with_encoder_blocks({{"bsc_scan", "four_way"}}), 68.52, kPrinted);
}

TEST(LbmNet, Figure11Skips) {
  const auto only = [](bool residual, bool attention, bool channels) {
    return Json{{"bagf_encoder_residual", residual},
                {"bagf_encoder_attention", attention},
                {"bagf_decoder_attention", channels}};
  };
  EXPECT_NEAR(millions_with_encoder_blocks({{"skip", "concat"}}), 66.10, kPrinted);
  EXPECT_NEAR(millions_with_encoder_blocks(only(true, false, false)), 66.40, kPrinted);
  EXPECT_NEAR(millions_with_encoder_blocks(only(false, true, false)), 66.25, kPrinted);
  EXPECT_NEAR(millions_with_encoder_blocks(only(false, false, true)), 66.26, kPrinted);
}

TEST(LbmNet, Table6IsTheSumOfItsParts) {
  // Two convolutions with bias and norm in place of each block: 54 C^2 + 6 C.
  const auto pair = [](int64_t width) { return 54 * width * width + 6 * width; };
  int64_t encoder = 0, decoder = 0;
  const int64_t blocks[] = {2, 3, 4, 3};
  for (int level = 0; level < 4; ++level) {
    encoder += blocks[level] * pair(80 << level);
    decoder += pair(40 << level);
  }
  EXPECT_EQ(parameters("lbmnet", {{"encoder", "conv"}}), 66'419'480 - kEncoderBlocks + encoder);
  EXPECT_EQ(with_encoder_blocks({{"decoder", "conv"}}), 66'419'480 - 2'636'120 + decoder);
  // Model 1: convolutions on both sides, plain skips.
  EXPECT_EQ(parameters("lbmnet", {{"encoder", "conv"}, {"decoder", "conv"}, {"skip", "concat"}}),
            66'419'480 - kEncoderBlocks + encoder - 2'636'120 + decoder - 588'912 + 272'600);
}

TEST(LbmNet, OpenPointsOfTheText) {
  EXPECT_NEAR(millions({{"lsc_shared_pointwise", true}}) - 66.41948, -1.73, kPrinted);
  EXPECT_NEAR(millions({{"lsc_refinement", "depthwise"}}) - 66.41948, -46.55, kPrinted);
  EXPECT_NEAR(millions_with_encoder_blocks({{"bsc_attention_convolution", "dense"}}) - 66.41948, 3.66,
              kPrinted);
  EXPECT_NEAR(millions_with_encoder_blocks({{"bsc_shared_weights", true}}) - 66.41948, -0.92, kPrinted);
  EXPECT_NEAR(millions_with_encoder_blocks({{"bsc_bottleneck", true}}) - 66.41948, 7.21, kPrinted);
  EXPECT_NEAR(millions_with_encoder_blocks({{"upsampling", "linear"}}) - 66.41948, -1.90, kPrinted);
  EXPECT_EQ(with_encoder_blocks({{"bsc_norm", false}}), 66'419'480 - 2 * (40 + 80 + 160 + 320));
  int64_t maps = 0;
  for (const int64_t C : {40, 80, 160, 320}) maps += 4 * C * C - 2 * C - 2;
  EXPECT_EQ(with_encoder_blocks({{"bagf_gate_maps", "channel"}}), 66'419'480 + maps);
}

TEST(LbmNet, EverySwitchRunsAndHasFiniteGradients) {
  torch::manual_seed(6);
  Json small = find_network("lbmnet").small;
  const Json switches[] = {
      {{"encoder", "conv"}, {"decoder", "conv"}, {"skip", "concat"}},
      {{"encoder", "residual_1"}, {"norm", "batch"}},
      {{"lsc_shared_pointwise", true}, {"lsc_refinement", "depthwise"}},
      {{"bsc_scan", "four_way"}, {"bsc_activation", "silu"}, {"bsc_residual", "spatial"}},
      {{"bsc_scan", "none"}, {"bsc_spatial", false}},
      {{"bsc_first_level", false}, {"bsc_bottleneck", true}, {"bsc_shared_weights", true}},
      {{"bagf_gate_maps", "channel"}, {"upsampling", "nearest"}, {"bsc_activation", "sigmoid"}},
      {{"upsampling", "linear"}, {"bsc_attention_convolution", "dense"}, {"bsc_norm", false}},
      {{"dims", 2}, {"bsc_scan", "four_way"}, {"stem_stride", 2}, {"stem_kernel", 5}}};
  for (const Json& changes : switches) {
    Json settings = small;
    settings.update(changes);
    settings["name"] = "lbmnet";
    const auto network = make_network(settings);
    std::vector<int64_t> sizes{2, 1, 8, 16};
    if (settings.value("dims", 3) == 3) sizes.push_back(4);
    const auto scores = network->forward(torch::randn(sizes));
    std::vector<int64_t> expected = sizes;
    expected[1] = 3;
    EXPECT_EQ(scores[0].sizes(), expected) << changes;
    torch::Tensor sum = scores[0].square().sum();
    for (size_t i = 1; i < scores.size(); ++i) sum = sum + scores[i].square().sum();
    sum.backward();
    for (const auto& parameter : network->named_parameters()) {
      ASSERT_TRUE(parameter.value().grad().defined()) << changes << parameter.key();
      EXPECT_TRUE(torch::isfinite(parameter.value().grad()).all().item<bool>()) << changes << parameter.key();
    }
  }
}

TEST(LbmNet, FourWaysReadTheGridWithItsFirstAxesSwapped) {
  torch::manual_seed(7);
  BscSettings settings;
  settings.spatial = false;
  settings.norm = false;
  settings.shared_weights = true;
  settings.scan = "four_way";
  BscBlock block(3, 4, settings);
  // One set of weights and a symmetric joining layer: swapping the axes of the input swaps those of the
  // output.
  torch::NoGradGuard no_grad;
  torch::Tensor join;
  for (const auto& parameter : block.named_parameters())
    if (parameter.key() == "join.weight") join = parameter.value();
  join.narrow(1, 8, 8).copy_(join.narrow(1, 0, 8));
  const torch::Tensor x = torch::randn({1, 4, 3, 5, 2});
  const torch::Tensor swapped = block.forward(x.transpose(2, 3).contiguous()).transpose(2, 3);
  EXPECT_TRUE(torch::allclose(block.forward(x), swapped, 1e-4, 1e-5));
}

}  // namespace
}  // namespace mambaseg
