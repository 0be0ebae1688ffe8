// Networks of mixtures, splines and tokens of the whole grid: what the sweep and the golden files do not see.

#include <gtest/gtest.h>

#include "mambaseg/nets/blocks/local_global_scan.h"
#include "mambaseg/nets/layers/unfilled.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/nets/model/tensor_file.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

std::shared_ptr<Network> small_with(const std::string& name, const Json& changes, Json* config = nullptr) {
  Json settings = find_network(name).small;
  settings.update(changes);
  settings["name"] = name;
  if (config != nullptr) *config = settings;
  torch::manual_seed(3);
  const auto network = make_network(settings);
  network->eval();
  return network;
}

TEST(LocalGlobalOrder, PutsTheGlobalTokensWhereTheSettingSays) {
  const auto order = [](const char* place, int64_t dims) { return local_global_order(2, 4, place, dims); };
  EXPECT_EQ(order("head", 3), (ScanOrder{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(order("center", 3), (ScanOrder{2, 3, 0, 1, 4, 5}));
  EXPECT_EQ(order("split", 3), (ScanOrder{0, 2, 3, 1, 4, 5}));
  EXPECT_EQ(order("split", 2), (ScanOrder{2, 3, 0, 1, 4, 5}));
  EXPECT_EQ(order("even", 3), (ScanOrder{0, 2, 3, 1, 4, 5}));
  EXPECT_THROW(order("behind", 3), UsageError);
}

TEST(LocalGlobalOrder, VisitsEveryTokenOnce) {
  for (const int64_t globals : {1, 3, 16, 108})
    for (const int64_t locals : {1, 7, 30, 512})
      for (const char* place : {"head", "center", "split", "even"}) {
        ScanOrder order = local_global_order(globals, locals, place, 3);
        std::sort(order.begin(), order.end());
        for (size_t i = 0; i < order.size(); ++i)
          ASSERT_EQ(order[i], static_cast<int32_t>(i)) << globals << " " << locals << " " << place;
      }
}

TEST(TkMamba, ReadsTheTextEmbeddingsOnceAndKeepsThem) {
  const TemporaryFolder folder;
  const std::string texts = folder / "texts.safetensors";
  const torch::Tensor embeddings = torch::rand({3, 6});
  write_safetensors(texts, to_tensor_file({{"clip", embeddings}}));
  Json config;
  const auto network = small_with("tk_mamba", {{"text_embedding", texts}}, &config);
  EXPECT_TRUE(torch::equal(network->named_buffers()["organ_embedding"], embeddings));
  save_model(folder / "model.safetensors", *network,
             {config, Json::object(), Json::object(), Json::object()});
  write_safetensors(texts, to_tensor_file({{"clip", torch::rand({2, 6})}}));
  EXPECT_THROW(small_with("tk_mamba", {{"text_embedding", texts}}), UsageError);
  const Model model = load_model(folder / "model.safetensors");
  EXPECT_TRUE(torch::equal(model.network->named_buffers()["organ_embedding"], embeddings));
}

// Settings behind which something published stands change the scores of the same weights.
TEST(PublishedOddities, ChangeWhatTheNetworkComputes) {
  const torch::NoGradGuard no_grad;
  const std::tuple<const char*, Json, Json> cases[] = {
      {"mambaclinix", {{"gates_add", true}}, {{"gates_add", false}}},
      {"tk_mamba", {{"groups_by_memory", true}}, {{"groups_by_memory", false}}},
      {"segresmamba", {{"mamba", false}, {"unused", true}}, {{"mamba", true}, {"unused", true}}}};
  for (const auto& [name, published, ours] : cases) {
    const auto a = small_with(name, published), b = small_with(name, ours);
    const auto weights = a->named_parameters();
    for (auto& parameter : b->named_parameters()) {
      if (parameter.key().ends_with("gamma1")) weights[parameter.key()].fill_(1);  // else they start at 1e-6
      if (parameter.key().ends_with("weight_denominator")) weights[parameter.key()].uniform_(-1, 1);
      parameter.value().copy_(weights[parameter.key()]);
    }
    for (auto& buffer : b->named_buffers()) buffer.value().copy_(a->named_buffers()[buffer.key()]);
    const torch::Tensor x = torch::rand({1, 1, 16, 16, 16});
    EXPECT_GT((a->forward(x)[0] - b->forward(x)[0]).abs().max().item<double>(), 1e-4) << name;
  }
}

TEST(NetworksOfTheSurvey, RefuseWhatTheyCannotBeMadeOf) {
  EXPECT_THROW(small_with("mambaclinix", {{"features", {6, 16, 16}}}), UsageError);
  EXPECT_THROW(small_with("mambaclinix", {{"mixers", {"gates"}}}), UsageError);
  EXPECT_THROW(small_with("taming_mambas", {{"variant", "seer"}, {"features", {4, 6, 8}}}), UsageError);
  EXPECT_THROW(small_with("mambavesselnet", {{"widths", {8}}}), UsageError);
  EXPECT_THROW(small_with("km_unet", {{"widths", {8, 8, 16, 16}}}), UsageError);
  EXPECT_THROW(small_with("km_unet", {{"widths", {8, 8, 12, 16, 24}}}), UsageError);
  EXPECT_THROW(small_with("tk_mamba", {{"widths", {16, 12}}}), UsageError);
  EXPECT_THROW(small_with("tk_mamba", {{"text", false}, {"text_embedding", "texts"}}), UsageError);
  EXPECT_THROW(small_with("mamba_home", {{"experts", {2}}}), UsageError);
  EXPECT_THROW(small_with("log_vmamba", {{"global_strides", {0, 3, 1}}}), UsageError);
  EXPECT_THROW(small_with("log_vmamba", {{"patch", {16, 16}}}), UsageError);
  EXPECT_THROW(small_with("log_vmamba_2d", {{"global_squeezes", {1}}}), UsageError);
}

// Counted with the official classes.
TEST(NetworksOfTheSurvey, HaveTheOfficialCountsInOtherSettings) {
  const UnfilledWeightsGuard unfilled;
  const std::tuple<const char*, Json, int64_t> cases[] = {
      {"segresmamba", {{"in_channels", 1}, {"classes", 13}, {"mamba", false}}, 111'565'409},
      {"mambaclinix", {{"in_channels", 4}, {"classes", 4}}, 48'878'391},
      {"mambavesselnet", {{"classes", 13}}, 155'124'781},
      {"taming_mambas", {{"variant", "one"}}, 61'375'562},
      {"taming_mambas", {{"variant", "pan"}}, 65'020'202},
      {"taming_mambas", {{"variant", "skip"}}, 65'020'202},
      {"taming_mambas", {{"variant", "seer"}}, 68'077'802},
      {"km_unet", {{"ema", false}}, 7'002'778},
      {"km_unet", {{"mixers", "cbam"}}, 6'359'194},
      {"tk_mamba", {{"text", false}}, 70'307'874},
      {"mamba_home", {{"in_channels", 4}, {"classes", 3}}, 170'181'035},
      {"log_vmamba", {{"expand", 2}}, 21'657'455},
      {"log_vmamba_2d", {{"global_strides", {0, 0, 0}}}, 24'998'212},
      {"log_vmamba_2d", {{"local_stages", Json::array()}}, 28'405'060},
      {"log_vmamba_2d", {{"local_stages", Json::array()}, {"global_strides", {0, 0, 0}}}, 27'490'756}};
  for (const auto& [name, changes, parameters] : cases)
    EXPECT_EQ(parameter_count(*find_network(name).make(changes)), parameters) << name << " " << changes;
}

// Variants that the small settings leave out.
TEST(NetworksOfTheSurvey, GiveScoresInEveryVariant) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor volume = torch::rand({2, 1, 16, 16, 16}), picture = torch::rand({2, 3, 64, 64});
  for (const char* variant : {"one", "pan", "skip"})
    EXPECT_TRUE(torch::isfinite(small_with("taming_mambas", {{"variant", variant}})->forward(volume)[0])
                    .all()
                    .item<bool>());
  const auto seer = small_with("taming_mambas", {{"variant", "seer"}, {"features", {4, 8, 8}}});
  EXPECT_TRUE(torch::isfinite(seer->forward(volume)[0]).all().item<bool>());
  for (const Json& changes : {Json{{"mixers", "cbam"}}, Json{{"ema", false}}})
    EXPECT_EQ(small_with("km_unet", changes)->forward(picture)[0].sizes(),
              (std::vector<int64_t>{2, 3, 64, 64}));
  EXPECT_EQ(small_with("tk_mamba", {{"text", false}})->forward(volume)[0].sizes(),
            (std::vector<int64_t>{2, 3, 16, 16, 16}));
}

}  // namespace
}  // namespace mambaseg
