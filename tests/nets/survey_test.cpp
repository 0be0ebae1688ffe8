// Networks of the survey beyond what golden files and the sweep say: the sizes that their specifications
// count, and what they refuse.

#include <gtest/gtest.h>

#include "mambaseg/nets/layers/unfilled.h"
#include "mambaseg/nets/model/network.h"

namespace mambaseg {
namespace {

int64_t parameters(const std::string& name, Json settings) {
  const UnfilledWeightsGuard unfilled;
  settings["name"] = name;
  return parameter_count(*make_network(settings));
}

TEST(SurveyNetworks, HaveTheParametersOfTheOfficialClassesInOtherSettings) {
  EXPECT_EQ(parameters("xlstm_unet_enc", {{"in_channels", 4}, {"classes", 4}}), 43'700'588);
  EXPECT_EQ(parameters("xlstm_unet_bot", {{"in_channels", 4}, {"classes", 4}}), 42'091'740);
  EXPECT_EQ(parameters("mllaunet", {{"classes", 14}}), 28'505'632);
  EXPECT_EQ(parameters("mllaunet", {{"depths", {3, 6, 21, 6}}}), 47'128'160);
  EXPECT_EQ(parameters("mllaunet", {{"depths", {3, 6, 21, 6}}, {"width", 96}, {"heads", {3, 6, 12, 24}}}),
            105'557'904);
  EXPECT_EQ(parameters("swin_unet", {{"classes", 4}}), 27'168'420);
  EXPECT_EQ(parameters("freqconvmamba", {{"depths", {2, 2, 9, 2}}, {"decoder_depths", {2, 9, 2, 2}}}),
            94'750'463);
  EXPECT_EQ(parameters("asm_unet", {{"classes", 14}}), 38'984'858);
  EXPECT_EQ(parameters("asm_unet", {{"own_stacks", true}}), 49'350'910);
  EXPECT_EQ(parameters("asm_unet", {{"decoder", true}}), 44'027'789);
  EXPECT_EQ(parameters("transamba", {{"classes", 3}}), 33'328'515);
  EXPECT_EQ(parameters("transamba", {{"planes", "none"}}), 21'744'769);
  EXPECT_EQ(parameters("transamba", {{"in_plane", "mamba"}}), 35'167'873);
  for (const char* planes : {"after", "beside", "in_plane"})
    EXPECT_EQ(parameters("transamba", {{"planes", planes}}), 33'320'065) << planes;
  EXPECT_EQ(parameters("u2net", {{"even", true}, {"mid", 16}}), 1'133'510);
  EXPECT_EQ(parameters("m2net", {{"even", true}, {"width", 64}}), 2'128'262);
  EXPECT_EQ(parameters("lm2net", {{"even", true}, {"width", 64}}), 1'572'984);
}

TEST(SurveyNetworks, RefuseWhatTheyCannotBe) {
  const auto refused = [](const std::string& name, Json changes) {
    Json settings = find_network(name).small;
    settings.update(changes);
    settings["name"] = name;
    EXPECT_THROW(make_network(settings), UsageError) << name << " " << changes;
  };
  refused("xlstm_unet_bot", {{"features", {4, 6, 7}}});
  refused("xlstm_unet_enc", {{"patch", {8, 8}}});
  refused("mllaunet", {{"width", 6}});
  refused("mllaunet", {{"decoder_depths", {1, 1}}});
  refused("hmt_unet", {{"windows", {4, 4}}});
  refused("weakmamba_unet", {{"dropout", {0.1}}});
  refused("freqconvmamba", {{"depths", {1, 0, 1}}});
  refused("asm_unet", {{"features", {4}}});
  refused("transamba", {{"edge", 18}});
  refused("transamba", {{"in_plane", "mamba"}, {"planes", "beside"}});
  refused("lm2net", {{"patch", {16}}});
  refused("lm2net", {{"mid", 12}});
  refused("unetr2net", {{"layers", {3, 3}}});
  refused("unetr2net", {{"patch", {32, 40}}});
  refused("mamba_nd2net", {{"layers", {3, 3}}});
  refused("ssnd2net", {{"patch", {32, 48}}});
  refused("ssnd2net", {{"patch", {32, 64}}});
  refused("transamba", {{"learns_from", "slices"}});  // of three classes
  refused("transamba", {{"learns_from", "slices"}, {"classes", 1}, {"in_plane", "mamba"}});
}

TEST(Transamba, AnswersForSlicesWhileTrainingAndMakesMasksOfItsMaps) {
  Json settings = find_network("transamba").small;
  settings.update({{"name", "transamba"}, {"classes", 1}, {"learns_from", "slices"}, {"threshold", 0.25}});
  torch::manual_seed(5);
  const auto network = make_network(settings);
  const torch::Tensor x = torch::randn({2, 3, 16, 8, 5});
  for (const torch::Tensor& answers : network->forward(x)) {
    EXPECT_EQ(answers.sizes(), (std::vector<int64_t>{2, 1, 16, 8, 5}));
    EXPECT_TRUE(torch::equal(answers, answers.narrow(2, 0, 1).narrow(3, 0, 1).expand_as(answers)));
  }
  EXPECT_EQ(network->forward(x).size(), 2);
  const auto answers = network->forward(x);
  network->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor mask = network->forward(x).front();
  const torch::Tensor holds = ((answers[0] + answers[1]) > 0).narrow(2, 0, 1).narrow(3, 0, 1).flatten();
  ASSERT_TRUE(holds.any().item<bool>());
  // The original divides by the range + 1e-8; the ranges here are beyond 1e-5.
  const auto near = [](const torch::Tensor& found, const torch::Tensor& expected) {
    return (found.flatten() - expected).abs().max().item<double>();
  };
  const torch::Tensor none = -torch::ones(10);
  EXPECT_LT(near(mask.amax({2, 3}), torch::where(holds, none + 1.75, none)), 1e-3);
  EXPECT_LT(near(mask.amin({2, 3}), torch::where(holds, none + 0.75, none)), 1e-6);
}

}  // namespace
}  // namespace mambaseg
