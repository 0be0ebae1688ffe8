#include "mambaseg/nets/blocks/medsegmamba_bottleneck.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/ss3d.h"
#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/nets/blocks/transformer_bottleneck.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/nets/model/weights.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

MedSegMambaSettings small() {
  MedSegMambaSettings s;
  s.classes = 3;
  s.widths = {8, 16, 24, 32};
  s.token_width = 16;
  s.layers = 2;
  s.states = 4;
  s.edge = 16;
  s.heads = 4;
  return s;
}

std::shared_ptr<MedSegMamba> make_medsegmamba(const MedSegMambaSettings& s) {
  return std::make_shared<MedSegMamba>(s, make_medsegmamba_bottleneck(s));
}

torch::Tensor logits(const std::shared_ptr<MedSegMamba>& network, const torch::Tensor& x) {
  return network->forward(x).at(0);
}

template <class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(MedSegMamba, HippocampalVariantHasTheCountedParametersAndOfficialNames) {
  MedSegMambaSettings s;
  s.classes = 25;
  const auto network = make_medsegmamba(s);
  EXPECT_EQ(parameter_count(*network), 84'400'281);
  const Weights weights = weights_of(*network);
  EXPECT_EQ(weights.size(), 287u - 2 * 9);  // without the tables of the walk
  EXPECT_EQ(weights.at("bottleneck.blocks.8.self_attention.x_proj_weight").sizes().vec(),
            (std::vector<int64_t>{8, 192, 1024}));
  EXPECT_EQ(weights.at("Up4.up.0.1.weight").sizes().vec(), (std::vector<int64_t>{128, 256, 3, 3, 3}));
  EXPECT_EQ(weights.count("downconv3.down.1.identity.bias"), 1u);
}

TEST(MedSegMamba, EveryVariantRunsAndTrains) {
  for (const char* bottleneck : {"v5", "v6", "vanilla", "transformer"})
    for (const bool changed : {false, true}) {
      MedSegMambaSettings s = small();
      s.bottleneck = bottleneck;
      s.preactivation = s.plain_identity = changed;
      s.max_pool = s.nearest_up = s.full_final_block = !changed;
      const auto network = make_medsegmamba(s);
      const torch::Tensor scores = logits(network, torch::rand({1, 1, 16, 16, 16}));
      EXPECT_EQ(scores.sizes().vec(), (std::vector<int64_t>{1, 3, 16, 16, 16})) << bottleneck;
      scores.square().sum().backward();
      for (const auto& p : network->named_parameters()) EXPECT_TRUE(p.value().grad().defined()) << p.key();
    }
}

// Ours: voxels folded into channels. Each keeps its place, in either number of dimensions.
TEST(MedSegMamba, FoldsVoxelsIntoChannelsAndBack) {
  for (const int64_t dims : {2, 3}) {
    Extent shape{2, 3};
    for (int64_t axis = 0; axis < dims; ++axis) shape.push_back(4 + 2 * axis);
    const torch::Tensor image = torch::rand(shape);
    const torch::Tensor fold = folded(image, 2);
    EXPECT_EQ(fold.size(1), dims == 2 ? 12 : 24);
    EXPECT_TRUE(fold.select(1, 0).equal(image.select(1, 0)
                                            .slice(1, 0, {}, 2)
                                            .slice(2, 0, {}, 2)
                                            .slice(dims == 3 ? 3 : 2, 0, {}, dims == 3 ? 2 : 1)));
    EXPECT_TRUE(unfolded(fold, 2).equal(image));
  }
  EXPECT_TRUE(folded(torch::arange(16).view({1, 1, 4, 4}), 2)
                  .select(1, 1)
                  .flatten()
                  .equal(torch::tensor({1, 3, 9, 11}, torch::kLong)));

  MedSegMambaSettings s = small();
  s.fold = 2;
  const auto network = make_medsegmamba(s);
  EXPECT_EQ(network->size_multiples(), (Extent{16, 16, 16}));
  EXPECT_EQ(logits(network, torch::rand({1, 1, 16, 32, 16})).sizes().vec(), (Extent{1, 3, 16, 32, 16}));
  s.bottleneck = "transformer";  // its positions are those of the folded grid
  EXPECT_EQ(logits(make_medsegmamba(s), torch::rand({1, 1, 16, 16, 16})).sizes().vec(),
            (Extent{1, 3, 16, 16, 16}));
}

TEST(MedSegMamba, InferenceWithoutGradientsGivesTheSameScores) {
  const auto network = make_medsegmamba(small());
  network->eval();
  const torch::Tensor x = torch::rand({2, 1, 16, 24, 32});
  const torch::Tensor with = logits(network, x).detach();
  const torch::NoGradGuard no_grad;
  EXPECT_LT((logits(network, x) - with).abs().max().item<double>(), 1e-5);
}

TEST(MedSegMamba, RefusesSizesAndSettingsThatDoNotFit) {
  const auto network = make_medsegmamba(small());
  EXPECT_THAT(error_of([&] {
                logits(network, torch::rand({1, 1, 16, 16, 20}));
              }),
              HasSubstr("multiples of 8 x 8 x 8, got 16 x 16 x 20"));
  EXPECT_THAT(error_of([&] {
                logits(network, torch::rand({1, 16, 16}));
              }),
              HasSubstr("multiples of 8 x 8 x 8, got 16"));
  MedSegMambaSettings s = small();
  s.widths = {8, 16, 24};
  EXPECT_THAT(error_of([&] { make_medsegmamba(s); }), HasSubstr("4 numbers"));
  s.widths = {8, 16, 24, 33};
  EXPECT_THAT(error_of([&] { make_medsegmamba(s); }), HasSubstr("multiples of 8"));
  s = small();
  s.orientations = {1};
  EXPECT_THAT(error_of([&] { make_medsegmamba(s); }), HasSubstr("one for each"));
  s = small();
  s.bottleneck = "transformer";  // its positions are interpolated
  EXPECT_EQ(logits(make_medsegmamba(s), torch::rand({1, 1, 16, 16, 24})).sizes().vec(),
            (Extent{1, 3, 16, 16, 24}));
}

TEST(Ss3d, TablesOfTheWalkAreCompared) {
  Ss3dSettings s;
  s.width = 8;
  s.states = 2;
  const auto mixer = std::make_shared<SS3D>(s);
  const ScanOrder walk = snake_orders({4, 4, 4}, 0).front();
  const torch::Tensor table = torch::tensor(walk).to(torch::kLong).view({1, 1, 64});
  const torch::Tensor back = torch::tensor(inverse(walk)).to(torch::kLong).view({1, 1, 64});
  Weights weights;
  for (const auto& [name, tensor] : weights_of(*mixer)) weights[name] = tensor.detach().clone();
  weights["scans.index_flat"] = table;
  weights["scans.index_flat_inv"] = back;
  EXPECT_EQ(error_of([&] { load_weights(*mixer, weights); }), "");
  weights["scans.index_flat"] = table.flip(2);
  EXPECT_THAT(error_of([&] { load_weights(*mixer, weights); }),
              HasSubstr("scans.index_flat: the walk table differs"));
  weights["scans.index_flat"] = table.slice(2, 0, 60);
  EXPECT_THAT(error_of([&] { load_weights(*mixer, weights); }), HasSubstr("no cube"));
}

TEST(LoadWeights, CountsAndNamesWhatDoesNotFitAndChangesNothing) {
  ResBlock3d block(8, 8, {});
  Weights weights;
  for (const auto& [name, tensor] : weights_of(block)) weights[name] = torch::full_like(tensor, 7);
  weights.erase("conv.0.bias");
  weights["head.weight"] = torch::zeros({1});
  weights["identity.bias"] = torch::zeros({9});
  const std::string error = error_of([&] { load_weights(block, weights); });
  EXPECT_THAT(error, HasSubstr("1 missing (conv.0.bias)"));
  EXPECT_THAT(error, HasSubstr("1 not part of the network (head.weight)"));
  EXPECT_THAT(error, HasSubstr("1 of another size (identity.bias [9] instead of [8])"));
  for (const torch::Tensor& p : block.parameters()) EXPECT_FALSE((p == 7).any().item<bool>());
}

TEST(SsmInit, TimeStepsAndStatesStartAsInMamba) {
  const torch::Tensor dt = torch::softplus(ssm_init::dt_bias({4000}));
  EXPECT_GE(dt.min().item<double>(), 0.001 * 0.999);
  EXPECT_LE(dt.max().item<double>(), 0.1 * 1.001);
  EXPECT_NEAR(dt.log().mean().item<double>(), std::log(0.01), 0.1);
  EXPECT_TRUE(torch::allclose(ssm_init::A_log(2, 3).exp(),
                              torch::tensor({{1., 2., 3.}, {1., 2., 3.}}).to(torch::kFloat)));
  EXPECT_LE(ssm_init::dt_weight({50, 4}, 4).abs().max().item<double>(), 0.5);
}

/// A mixer that returns ones.
class Ones : public Layer {
 public:
  torch::Tensor forward(const torch::Tensor& x) override { return torch::ones_like(x); }
};

TEST(MixerBlock, DropPathKeepsOrDropsWholeSamplesAndKeepsTheMean) {
  torch::manual_seed(5);
  MixerBlockSettings s;
  s.width = 4;
  s.mlp_hidden = 0;
  s.drop_path = 0.25;
  MixerBlock block(s, std::make_shared<Ones>());
  const torch::Tensor out = block.forward(torch::zeros({4000, 1, 1, 2, 4}));
  const torch::Tensor first = out.select(4, 0).select(3, 0).flatten();
  EXPECT_TRUE(torch::equal(out, first.view({4000, 1, 1, 1, 1}).expand_as(out)));
  EXPECT_TRUE(((first == 0) | ((first - 4.0 / 3).abs() < 1e-6)).all().item<bool>());
  EXPECT_NEAR(first.mean().item<double>(), 1, 0.05);
  block.eval();
  EXPECT_TRUE(torch::equal(block.forward(torch::zeros({2, 1, 1, 2, 4})), torch::ones({2, 1, 1, 2, 4})));
}

}  // namespace
}  // namespace mambaseg
