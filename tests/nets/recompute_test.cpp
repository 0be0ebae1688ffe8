#include "mambaseg/nets/layers/recompute.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/block_cache.h"
#include "mambaseg/ops/dense.h"

namespace mambaseg {
namespace {

using torch::Tensor;

std::shared_ptr<Network> small_network(const NetworkEntry& entry) {
  Json config = entry.small;
  config["name"] = entry.name;
  torch::manual_seed(3);
  return make_network(config);
}

Tensor patch_for(const NetworkEntry& entry) {
  const Json settings = entry.settings();
  const int dims = entry.small.value("dims", settings.value("dims", entry.dims.front()));
  std::vector<int64_t> sizes{2, entry.small.value("in_channels", settings.at("in_channels").get<int64_t>())};
  sizes.insert(sizes.end(), static_cast<size_t>(dims), 2 * entry.small_edge);
  torch::manual_seed(4);
  return torch::rand(sizes);
}

/// Scores, gradients, buffers and the next random number of two training passes, one after the other.
std::vector<Tensor> of_two_passes(Network& network, const Tensor& patch, const std::string& precision) {
  network.train();
  torch::manual_seed(5);
  std::vector<Tensor> all;
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<Tensor> outputs;
    {
      const Autocast autocast(precision, torch::kCPU);
      outputs = network.forward(patch);
    }
    Tensor loss;
    for (const Tensor& scores : outputs) {
      const Tensor part = scores.to(torch::kFloat).square().mean();
      loss = loss.defined() ? loss + part : part;
      all.push_back(scores.detach());
    }
    loss.backward();
  }
  for (const Tensor& parameter : network.parameters())
    all.push_back(parameter.grad().defined() ? parameter.grad() : torch::zeros({}));
  for (const Tensor& buffer : network.buffers()) all.push_back(buffer);
  all.push_back(torch::rand({4}));
  return all;
}

bool has_blocks(const NetworkEntry& entry) {
  try {
    recompute_blocks(*small_network(entry));
    return true;
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("training.recompute: expected blocks"));
    return false;
  }
}

TEST(Recompute, GivesTheBitsOfThoseThatKeepEverything) {
  std::vector<std::string> precisions{"fp32"};
  if (has_bf16_arithmetic()) precisions.push_back("bf16");
  int64_t networks_with_blocks = 0;
  for (const NetworkEntry& entry : networks()) {
    if (!has_blocks(entry)) continue;
    ++networks_with_blocks;
    for (const std::string& precision : precisions) {
      const auto keeps = small_network(entry), recomputes = small_network(entry);
      recompute_blocks(*recomputes);
      const Tensor patch = patch_for(entry);
      const auto expected = of_two_passes(*keeps, patch, precision),
                 found = of_two_passes(*recomputes, patch, precision);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i)
        EXPECT_TRUE(torch::equal(found[i], expected[i])) << entry.name << " " << precision << " " << i;
    }
  }
  EXPECT_GE(networks_with_blocks, 8);
}

TEST(Recompute, IsThereForTheNetworksThatNeedItMost) {
  for (const char* name : {"lbmnet", "medsegmamba", "plain_unet", "resenc_unet"})
    EXPECT_TRUE(has_blocks(find_network(name))) << name;
  EXPECT_FALSE(has_blocks(find_network("unet")));
}

TEST(Recompute, KeepsLessUntilTheBackwardPass) {
  cache_tensor_blocks();
  const auto held = [](bool recomputes) {
    const auto network =
        make_network({{"name", "plain_unet"}, {"features", {16, 16}}, {"convolutions", {6, 1}}});
    network->train();
    if (recomputes) recompute_blocks(*network);
    const Tensor patch = torch::rand({1, 1, 32, 32, 32});
    const size_t before = block_cache_state().in_use;
    const auto outputs = network->forward(patch);
    return block_cache_state().in_use - before;
  };
  // Of six convolutions and norms of 16 x 32^3 numbers (2 MiB) the block keeps what it begins with.
  EXPECT_GE(held(false), held(true) + 10 * (size_t{2} << 20));
}

}  // namespace
}  // namespace mambaseg
