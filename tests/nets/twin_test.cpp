// The twins without Mamba: what must hold for every network with state-space layers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/nets/layers/unfilled.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/nets/model/cost.h"
#include "mambaseg/ops/plain_libtorch.h"
#include "tests/io/temporary_folder.h"
#include "tests/nets/steadiness.h"

namespace mambaseg {
namespace {

NetworkCost cost(const NetworkEntry& entry, Json settings, const Extent& sizes) {
  settings["name"] = entry.name;
  return cost_of(settings, sizes);
}

class EveryHybrid : public testing::TestWithParam<std::string> {
 protected:
  const NetworkEntry& entry() const { return find_network(GetParam()); }

  /// Settings of the small network for `dims` dimensions.
  Json small(int dims, bool twin) const {
    Json settings = entry().settings();
    settings.update(entry().small);
    if (entry().dims.size() > 1) settings["dims"] = dims;
    settings["without_mamba"] = twin;
    return settings;
  }
  Extent sizes(int dims) const { return cube(dims, entry().small_edge); }
  torch::Tensor input(int dims) const {
    std::vector<int64_t> all{2, small(dims, true)["in_channels"].get<int64_t>()};
    for (const int64_t size : sizes(dims)) all.push_back(size);
    return torch::rand(all);
  }
};

TEST_P(EveryHybrid, HasATwinThatScansNothing) {
  for (const int dims : entry().dims) {
    EXPECT_GT(cost(entry(), small(dims, false), sizes(dims)).operations.state_updates, 0);
    EXPECT_EQ(cost(entry(), small(dims, true), sizes(dims)).operations.state_updates, 0);
  }
}

TEST_P(EveryHybrid, HasATwinOfAsManyParameters) {
  const UnfilledWeightsGuard unfilled;
  Json settings = entry().settings();
  settings["without_mamba"] = true;
  const auto twin = static_cast<double>(parameter_count(*entry().make(settings)));
  EXPECT_NEAR(twin / static_cast<double>(entry().parameters), 1, 0.1);
}

TEST_P(EveryHybrid, HasATwinThatLearns) {
  for (const int dims : entry().dims) {
    torch::manual_seed(3);
    const auto twin = entry().make(small(dims, true));
    twin->train();
    torch::Tensor loss = torch::zeros({});
    for (const torch::Tensor& scores : twin->forward(input(dims)))
      loss = loss + (scores * torch::rand_like(scores)).sum();
    loss.backward();
    for (const auto& parameter : twin->named_parameters()) {
      ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
      EXPECT_TRUE(torch::isfinite(parameter.value().grad()).all().item<bool>()) << parameter.key();
    }
  }
}

TEST_P(EveryHybrid, HasATwinThatIsKeptAsOne) {
  const TemporaryFolder folder;
  for (const int dims : entry().dims) {
    torch::manual_seed(3);
    const Json settings = small(dims, true);
    const auto twin = entry().make(settings);
    twin->eval();
    Json named = settings;
    named["name"] = entry().name;
    save_model(folder / "twin.safetensors", *twin, {named, Json::object(), Json::object(), Json::object()});
    const Model model = load_model(folder / "twin.safetensors");
    const torch::NoGradGuard no_grad;
    const torch::Tensor x = input(dims), ours = twin->forward(x)[0];
    EXPECT_TRUE(torch::equal(ours, model.network->forward(x)[0]));
    if (is_let_off(entry().name)) GTEST_SKIP() << kAmplifies;
    const PlainLibTorchGuard plain;
    const torch::Tensor theirs = twin->forward(x)[0];
    EXPECT_LE((ours - theirs).abs().max().item<double>(), 2e-4 * theirs.abs().max().item<double>());
  }
}

std::vector<std::string> hybrids() {
  std::vector<std::string> names;
  for (const NetworkEntry& entry : networks())
    if (entry.settings().contains("without_mamba")) names.push_back(entry.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Networks, EveryHybrid, testing::ValuesIn(hybrids()),
                         [](const auto& info) { return info.param; });

// hybrid_entry and network_entry are told apart by what the networks do.
TEST(Twins, NetworksThatScanHaveThemAndNoOthers) {
  for (const NetworkEntry& entry : networks()) {
    Json settings = entry.settings();
    settings.update(entry.small);
    if (entry.dims.size() > 1) settings["dims"] = entry.dims.front();
    const Extent sizes = cube(entry.dims.front(), entry.small_edge);
    EXPECT_EQ(cost(entry, settings, sizes).operations.state_updates > 0,
              entry.settings().contains("without_mamba"))
        << entry.name;
  }
}

TEST(Twins, AreRefusedByNetworksWithoutScans) {
  try {
    make_network({{"name", "unet"}, {"without_mamba", true}});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "without_mamba: unet has no state-space layers that convolutions could stand for");
  }
}

}  // namespace
}  // namespace mambaseg
