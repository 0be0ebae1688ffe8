#include <gtest/gtest.h>

#include "mambaseg/nets/blocks/bidirectional_mamba.h"
#include "mambaseg/nets/blocks/nnunet.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {
namespace {

std::shared_ptr<Network> made(const std::string& name, Json settings = Json::object()) {
  settings["name"] = name;
  return make_network(settings);
}

Json small(const std::string& name, const Json& changes = Json::object()) {
  Json settings = find_network(name).small;
  settings.update(changes);
  return settings;
}

int64_t parameters(const std::string& name, const Json& settings = Json::object()) {
  return parameter_count(*made(name, settings));
}

TEST(Mamba, BackwardsIsTheReversalOfTheReversedSequence) {
  torch::manual_seed(2);
  for (const int64_t length : {1, 2, 3, 9}) {
    MambaSettings settings;
    settings.width = 6;
    settings.states = 3;
    Mamba mamba(settings);
    const torch::Tensor x = torch::randn({2, length, 6});
    const torch::Tensor expected = mamba.forward(x.flip(1)).flip(1);
    EXPECT_TRUE(torch::allclose(mamba.read(x, true), expected, 1e-5, 1e-6)) << length;
    if (length > 2) {
      EXPECT_FALSE(torch::allclose(mamba.forward(x), expected, 1e-3, 1e-3)) << length;
    }
  }
}

TEST(Mamba, SeesNoLaterToken) {
  torch::manual_seed(3);
  MambaSettings settings;
  settings.width = 4;
  Mamba mamba(settings);
  torch::Tensor x = torch::randn({1, 8, 4});
  const torch::Tensor before = mamba.forward(x).narrow(1, 0, 5);
  x.select(1, 5).add_(10);
  EXPECT_TRUE(torch::equal(before, mamba.forward(x).narrow(1, 0, 5)));
}

TEST(BidirectionalMamba, ReadsTheReversedSequenceWithItsOtherBranch) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(4);
  BidirectionalMambaSettings settings;
  settings.width = 6;
  settings.states = 3;
  BidirectionalMamba mamba(settings), turned(settings);
  Weights weights;
  for (const auto& [name, tensor] : weights_of(mamba)) {
    std::string other = name;
    for (const char* part : {"conv1d", "x_proj", "dt_proj", "A", "D"}) {
      const std::string plain = part, backward = plain + "_b";
      if (name.starts_with(backward + ".") || name == backward + "_log" || name == backward)
        other = plain + name.substr(backward.size());
      else if (name.starts_with(plain + ".") || name == plain + "_log" || name == plain)
        other = backward + name.substr(plain.size());
    }
    weights[other] = tensor;
  }
  load_weights(turned, weights);
  const torch::Tensor x = torch::randn({2, 7, 6});
  EXPECT_TRUE(torch::allclose(turned.forward(x.flip(1)).flip(1), mamba.forward(x), 1e-5, 1e-6));
  EXPECT_FALSE(torch::allclose(turned.forward(x), mamba.forward(x), 1e-3, 1e-3));
}

// Counts of the official classes at full size.
TEST(NnUNet, HasTheParametersOfTheOfficialClasses) {
  EXPECT_EQ(parameters("plain_unet"), 31'195'594);
  EXPECT_EQ(parameters("resenc_unet"), 102'349'770);
}

TEST(SegMamba, HasTheParametersOfTheOfficialClass) {
  EXPECT_EQ(parameters("segmamba"), 67'416'196);
  EXPECT_EQ(parameters("segmamba", {{"in_channels", 1}, {"classes", 13}}), 67'363'213);
}

TEST(SegMamba, TakesSizesThatItsSlicesDivide) {
  EXPECT_EQ(made("segmamba")->size_multiples(), (Extent{32, 32, 32}));
  EXPECT_EQ(made("segmamba", {{"slices", {0, 0, 0, 0}}})->size_multiples(), (Extent{16, 16, 16}));
  EXPECT_EQ(made("segmamba", {{"slices", {8, 4, 2, 3}}})->size_multiples(), (Extent{48, 48, 48}));
  EXPECT_THROW(made("segmamba", {{"slices", {8, 4}}}), UsageError);
  torch::NoGradGuard no_grad;
  torch::manual_seed(5);
  const torch::Tensor x = torch::randn({1, 1, 32, 32, 64});
  const auto scores = [&](const std::vector<int64_t>& slices) {
    torch::manual_seed(6);
    const auto network = made("segmamba", small("segmamba", {{"slices", slices}}));
    network->eval();
    return network->forward(x)[0];
  };
  EXPECT_TRUE(torch::equal(scores({0, 0, 0, 0}), scores({16, 8, 4, 2})));
  EXPECT_FALSE(torch::equal(scores({0, 0, 0, 0}), scores({8, 8, 4, 2})));
}

TEST(LightMUnet, HasTheParametersOfTheOfficialClass) {
  EXPECT_EQ(parameters("lightm_unet"), 5'015'733);
  EXPECT_EQ(parameters("lightm_unet", {{"classes", 3}}), 5'015'766);
  EXPECT_EQ(parameters("lightm_unet", {{"dims", 2}}), 5'011'683);
  EXPECT_EQ(parameters("lightm_unet", {{"width", 8}}), 381'813);
  EXPECT_THROW(parameters("lightm_unet", {{"width", 12}}), UsageError);
  EXPECT_THROW(parameters("lightm_unet", {{"decoder_depths", {1, 1}}}), UsageError);
}

TEST(UMamba, HasTheParametersOfTheOfficialClasses) {
  EXPECT_EQ(parameters("umamba_bot"), 42'120'394);
  EXPECT_EQ(parameters("umamba_enc"), 42'750'922);
  Json abdomen{{"classes", 14},
               {"kernels", {{1, 3, 3}, {3, 3, 3}, {3, 3, 3}, {3, 3, 3}, {3, 3, 3}, {3, 3, 3}}},
               {"strides", {{1, 1, 1}, {1, 2, 2}, {2, 2, 2}, {2, 2, 2}, {2, 2, 2}, {1, 2, 2}}}};
  EXPECT_EQ(parameters("umamba_bot", abdomen), 41'945'158);
  abdomen["patch"] = {40, 224, 192};
  EXPECT_EQ(parameters("umamba_enc", abdomen), 42'842'798);
  Json flat{{"dims", 2}, {"classes", 14}, {"features", {32, 64, 128, 256, 512, 512, 512}}};
  EXPECT_EQ(parameters("umamba_bot", flat), 47'533'012);
  flat["patch"] = {320, 320};
  EXPECT_EQ(parameters("umamba_enc", flat), 47'015'538);
}

TEST(UMamba, WithoutMambaIsTheSameNetworkLessItsLayers) {
  // norm 2 * 320, Mamba of width 320: 675,200.
  EXPECT_EQ(parameters("umamba_bot") - parameters("umamba_bot", {{"mamba", false}}), 675'840);
  EXPECT_EQ(parameters("umamba_enc") - parameters("umamba_enc", {{"mamba", false}}),
            9'984 + 32'768 + 116'736 + 438'272 + 675'840 + 32'768);
  for (const auto& parameter :
       made("umamba_enc", small("umamba_enc", {{"mamba", false}}))->named_parameters())
    EXPECT_EQ(parameter.key().find("mamba"), std::string::npos) << parameter.key();
}

TEST(UMamba, ChannelTokensRefuseAnotherPatch) {
  const auto network = made("umamba_enc", small("umamba_enc", {{"patch", {8, 8, 4}}}));
  EXPECT_EQ(network->forward(torch::randn({1, 1, 8, 8, 4}))[0].sizes(),
            (std::vector<int64_t>{1, 3, 8, 8, 4}));
  EXPECT_THROW(network->forward(torch::randn({1, 1, 8, 8, 8})), Error);
}

TEST(NnUNetFrame, ScoresOfAllScalesOnlyWhileTraining) {
  for (const char* name : {"plain_unet", "resenc_unet", "umamba_bot", "lbmnet"}) {
    const auto network = made(name, small(name));
    const torch::Tensor x = torch::randn({2, 1, 8, 12, 4});
    network->train();
    const auto scores = network->forward(x);
    ASSERT_EQ(scores.size(), 2u) << name;
    EXPECT_EQ(scores[0].sizes(), (std::vector<int64_t>{2, 3, 8, 12, 4})) << name;
    EXPECT_EQ(scores[1].sizes(), (std::vector<int64_t>{2, 3, 4, 6, 2})) << name;
    network->eval();
    EXPECT_EQ(network->forward(x).size(), 1u) << name;
    EXPECT_EQ(made(name, small(name, {{"deep_supervision", false}}))->forward(x).size(), 1u) << name;
  }
}

TEST(NnUNetFrame, WorksInTwoDimensions) {
  for (const char* name : {"plain_unet", "resenc_unet", "umamba_bot", "umamba_enc", "lbmnet"}) {
    const auto network = made(name, small(name, {{"dims", 2}, {"in_channels", 3}}));
    EXPECT_EQ(network->forward(torch::randn({1, 3, 8, 12}))[0].sizes(), (std::vector<int64_t>{1, 3, 8, 12}))
        << name;
  }
}

TEST(NnUNetFrame, AnisotropicPlansKeepTheirGrid) {
  const Json plan{{"kernels", {{1, 3, 3}, {3, 3, 3}, {3, 3, 3}}},
                  {"strides", {{1, 1, 1}, {1, 2, 2}, {1, 2, 2}}}};
  const auto network = made("plain_unet", small("plain_unet", plan));
  EXPECT_EQ(network->size_multiples(), (Extent{1, 4, 4}));
  EXPECT_EQ(network->forward(torch::randn({1, 1, 3, 8, 4}))[0].sizes(),
            (std::vector<int64_t>{1, 3, 3, 8, 4}));
}

TEST(NnUNetFrame, ListsThatDoNotFitAreRefused) {
  EXPECT_THROW(made("plain_unet", {{"strides", {{1, 1, 1}, {2, 2, 2}}}}), UsageError);
  EXPECT_THROW(made("plain_unet", small("plain_unet", {{"kernels", {{3, 3}, {3, 3}, {3, 3}}}})), UsageError);
  EXPECT_THROW(made("plain_unet", {{"convolutions", {2, 2}}}), UsageError);
  EXPECT_THROW(made("plain_unet", {{"features", {8}}}), UsageError);
  EXPECT_THROW(made("plain_unet", small("plain_unet", {{"kernels", {{2, 2, 2}, {3, 3, 3}, {3, 3, 3}}}})),
               UsageError);
  EXPECT_THROW(made("umamba_enc", {{"patch", {64, 64}}}), UsageError);
  EXPECT_THROW(made("umamba_enc", {{"patch", {16, 16, 16}}}), UsageError);
  EXPECT_THROW(made("lbmnet", {{"blocks", {1, 2}}}), UsageError);
  EXPECT_THROW(made("lbmnet", {{"lsc_kernels", Json::array()}}), UsageError);
}

TEST(Weights, RepeatedNamesOfOfficialFilesAreDroppedWhenEqual) {
  const auto network = made("resenc_unet", small("resenc_unet"));
  Weights weights;
  for (const auto& [name, tensor] : weights_of(*network)) {
    weights[name] = tensor.clone();
    if (name.rfind("encoder.", 0) == 0) weights["decoder." + name] = tensor.clone();
  }
  const std::string original = "encoder.stem.convs.0.norm.weight",
                    repeated = "decoder.encoder.stem.convs.0.all_modules.1.weight";
  weights[repeated] = weights[original].clone();
  const NetworkEntry& entry = find_network("resenc_unet");
  EXPECT_NO_THROW(load_weights(*network, with_our_names(weights, entry)));
  weights[repeated].add_(1);
  EXPECT_THROW(load_weights(*network, with_our_names(weights, entry)), Error);
  weights.erase(repeated);
  weights["decoder.encoder.other"] = torch::zeros({1});
  EXPECT_THROW(load_weights(*network, with_our_names(weights, entry)), Error);
}

TEST(SqueezeExcitation, KeepsTheLastAxisInThreeDimensions) {
  torch::manual_seed(4);
  SqueezeExcite gate(3, 5);
  torch::Tensor x = torch::randn({1, 5, 2, 3, 4});
  const torch::Tensor before = gate.forward(x).select(4, 0);
  x.select(4, 3).add_(5);
  EXPECT_TRUE(torch::equal(before, gate.forward(x).select(4, 0)));
}

}  // namespace
}  // namespace mambaseg
