#include "mambaseg/nets/model/members.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/nets/layers/unfilled.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

constexpr const char* kMembers[] = {"swin_unet", "mamba_unet", "weakmamba_unet"};

Json small_config() {
  Json config = find_network("weak_mamba_unet").settings();
  config.merge_patch(find_network("weak_mamba_unet").small);
  config["name"] = "weak_mamba_unet";
  return config;
}

Model small_model() {
  torch::manual_seed(3);
  Model model{make_network(small_config()), {}};
  model.network->eval();
  model.info.network = small_config();
  model.info.plan = {{"task", "pictures"}};
  return model;
}

std::string refusal(const Json& config) {
  try {
    make_network(config);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Members, EachIsANetworkOfItsOwnWithTheScoresThatItHasInTheWhole) {
  const Model whole = small_model();
  whole.network->give_all_scales();
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::rand({2, 1, 32, 64});
  const auto scores = whole.network->forward(x);
  ASSERT_EQ(scores.size(), 3u);
  int64_t parameters = 0;
  for (size_t m = 0; m < 3; ++m) {
    const Model member = member_of(whole, kMembers[m]);
    EXPECT_EQ(member.info.network["name"], kMembers[m]);
    EXPECT_EQ(member.info.network["classes"], 3);
    EXPECT_EQ(member.info.plan, whole.info.plan);
    EXPECT_EQ(member.info.history["member_of"], "weak_mamba_unet");
    EXPECT_TRUE(torch::equal(member.network->forward(x)[0], scores[m])) << kMembers[m];
    parameters += parameter_count(*member.network);
  }
  EXPECT_EQ(parameter_count(*whole.network), parameters);
}

TEST(Members, TheWholePredictsByTheMeanOfTheirProbabilities) {
  const Model whole = small_model();
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::rand({2, 1, 32, 32});
  torch::Tensor mean = torch::zeros({2, 3, 32, 32});
  for (const char* name : kMembers)
    mean += torch::softmax(member_of(whole, name).network->forward(x)[0], 1) / 3;
  const torch::Tensor found = torch::softmax(whole.network->forward(x)[0], 1);
  EXPECT_LE((found - mean).abs().max().item<double>(), 1e-6);
}

TEST(Members, TheTwinWithoutMambaHasATwinAsMember) {
  const UnfilledWeightsGuard unfilled;
  Json twin = small_config();
  EXPECT_FALSE(member_config(twin, "mamba_unet").value("without_mamba", false));
  twin["without_mamba"] = true;
  EXPECT_TRUE(member_config(twin, "mamba_unet").value("without_mamba", false));
  EXPECT_FALSE(member_config(twin, "swin_unet").contains("without_mamba"));
  EXPECT_EQ(weights_of(*make_network(member_config(twin, "mamba_unet"))).size(),
            weights_of(*make_network(member_config(small_config(), "mamba_unet"))).size() +
                weights_of(*make_network(twin)).size() - weights_of(*make_network(small_config())).size());
}

TEST(Members, WrongSettingsAndNamesAreTold) {
  Json config = small_config();
  config["swin_unet"]["widht"] = 3;
  EXPECT_THAT(refusal(config), testing::AllOf(HasSubstr("swin_unet"), HasSubstr("widht")));
  config = small_config();
  config["mamba_unet"]["classes"] = 3;
  EXPECT_EQ(refusal(config), "mamba_unet: setting mamba_unet.classes: the whole network decides it");
  const auto refused = [](const Json& whole, const char* member) {
    try {
      member_config(whole, member);
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refused(small_config(), "unet"),
            "no member is called unet; expected one of mamba_unet, swin_unet, weakmamba_unet");
  EXPECT_EQ(refused({{"name", "unet"}, {"widths", {4, 8}}}, "swin_unet"),
            "no member is called swin_unet; this network is not made of others");
}

}  // namespace
}  // namespace mambaseg
