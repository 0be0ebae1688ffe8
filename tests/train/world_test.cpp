#include "mambaseg/train/world.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <torch/nn/modules/linear.h>

#include <cmath>
#include <future>
#include <thread>

#include "mambaseg/train/gradient_sums.h"
#include "tests/train/ranks.h"

namespace mambaseg {
namespace {

TEST(World, AloneEverythingIsItself) {
  World world;
  EXPECT_TRUE(world.leads());
  EXPECT_EQ(world.sums({1.5, 2}), (std::vector<double>{1.5, 2}));
  EXPECT_EQ(world.said("so"), std::vector<std::string>{"so"});
  EXPECT_EQ(world.share(7), (std::pair<int64_t, int64_t>{0, 7}));
}

TEST(World, PartsAreAllThingsOnceInOrder) {
  for (const int64_t count : {0, 1, 2, 3, 10}) {
    const auto parts = on_ranks(3, [count](World& world) { return world.share(count); });
    int64_t next = 0;
    for (const auto& [first, last] : parts) {
      EXPECT_EQ(first, next);
      EXPECT_LE(last - first, count / 3 + 1);
      next = last;
    }
    EXPECT_EQ(next, count);
  }
}

TEST(World, SumsAndWordsReachAll) {
  const auto results = on_ranks(3, [](World& world) {
    const double sum = world.sums({world.rank() + 1.0})[0];
    std::string words;
    for (const std::string& one : world.said("rank" + std::to_string(world.rank()))) words += one + " ";
    return words + std::to_string(sum);
  });
  for (const std::string& result : results) EXPECT_EQ(result, "rank0 rank1 rank2 6.000000");
}

TEST(World, ARankThatStopsIsNamedWithItsReason) {
  const auto results = on_ranks(3, [](World& world) -> std::string {
    if (world.rank() == 1) {
      world.stop("the disk is full");
      return "";
    }
    try {
      world.said("");
    } catch (const RankLost& error) {
      return error.what();
    }
    return "not noticed";
  });
  EXPECT_THAT(results[0], testing::StartsWith("rank 0 of 3: rank 1 stopped: the disk is full"));
  EXPECT_THAT(results[2], testing::StartsWith("rank 2 of 3: rank 1 stopped: the disk is full"));
}

TEST(World, WhoDoesNotComeIsWaitedForNoLongerThanThePatience) {
  WorldPlace place;
  place.size = 2, place.address = "127.0.0.1", place.port = free_port();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(World(place, torch::kCPU, std::chrono::seconds(1)), RankLost);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

/// x W^T summed, with a second layer that only even ranks use and a third that none uses.
struct Net : torch::nn::Module {
  torch::nn::Linear used{nullptr}, sometimes{nullptr}, never{nullptr};
  Net() {
    used = register_module("used", torch::nn::Linear(5, 3));
    sometimes = register_module("sometimes", torch::nn::Linear(3, 2));
    never = register_module("never", torch::nn::Linear(4, 4));
  }
};

TEST(GradientSums, AreThoseOfAllRanksWhateverTheBuckets) {
  for (const int64_t bucket_bytes : {4, 64, 1 << 20}) {
    const auto gradients = on_ranks(3, [bucket_bytes](World& world) {
      Net net;
      for (auto& parameter : net.parameters()) parameter.data().fill_(0.5);
      GradientSums sums(net, world, bucket_bytes);
      const double factor = world.rank() + 1;
      for (int pass = 0; pass < 2 && world.rank() < 2; ++pass) {  // the third rank has no samples
        torch::Tensor y = net.used(torch::full({1, 5}, factor));
        if (world.rank() == 0) y = net.sometimes(y);
        if (pass == 1) sums.last_pass();
        y.sum().backward();
      }
      sums.finish();
      std::vector<torch::Tensor> all;
      for (const auto& parameter : net.parameters()) all.push_back(parameter.grad());
      return all;
    });
    for (const auto& of_rank : gradients) {
      ASSERT_EQ(of_rank.size(), 6);
      // rank 0: two passes of d(sometimes(used(1)))/dW = 1 * (0.5 + 0.5); rank 1: two of 2.
      EXPECT_TRUE(of_rank[0].equal(torch::full({3, 5}, 2.0 + 4.0))) << of_rank[0];
      EXPECT_TRUE(of_rank[1].equal(torch::full({3}, 2.0 + 2.0)));
      EXPECT_TRUE(of_rank[2].equal(torch::full({2, 3}, 2 * (5 * 0.5 + 0.5))));
      EXPECT_FALSE(of_rank[4].defined()) << "no rank has it";
    }
  }
}

TEST(GradientSums, OfFourRanksDifferByTheRoundingOfSums) {
  constexpr int kRanks = 4;
  const auto gradient_of = [](int rank) {
    torch::Generator generator = at::detail::createCPUGenerator(static_cast<uint64_t>(rank));
    return torch::randn({3, 5}, generator);
  };
  const auto sums_of_ranks = on_ranks(kRanks, [&](World& world) {
    Net net;
    GradientSums sums(net, world);
    net.used->weight.mutable_grad() = gradient_of(world.rank());
    sums.finish();
    return net.used->weight.grad();
  });
  torch::Tensor exact = torch::zeros({3, 5}, torch::kFloat64), sizes = exact.clone();
  for (int rank = 0; rank < kRanks; ++rank) {
    exact += gradient_of(rank).to(torch::kFloat64);
    sizes += gradient_of(rank).to(torch::kFloat64).abs();
  }
  for (const torch::Tensor& sum : sums_of_ranks) {
    EXPECT_TRUE(sum.equal(sums_of_ranks.front())) << "all ranks go on with the same weights";
    EXPECT_TRUE(((sum - exact).abs() <= (kRanks - 1) * std::ldexp(1.0, -24) * sizes).all().item<bool>());
  }
}

}  // namespace
}  // namespace mambaseg
