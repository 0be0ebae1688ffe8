#include "mambaseg/train/batches.h"

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "mambaseg/tasks/volumes/training_patches.h"

namespace mambaseg {
namespace {

SampleSources drawn_samplers(int64_t cases, int64_t patches_per_case) {
  SamplingSettings sampling;
  sampling.kind = "random";
  sampling.patches_per_case = patches_per_case;
  Plan plan;
  plan.patch = {4, 4, 4};
  plan.classes = {{"one", {1}}};
  SampleSources samplers;
  for (int64_t i = 0; i < cases; ++i) {
    PreparedCase one;
    one.id = std::to_string(i);
    one.image_CIJK = torch::arange(8 * 8 * 8, torch::kFloat32).view({1, 8, 8, 8}) + 1000 * i;
    one.classes_IJK = torch::ones({8, 8, 8}, torch::kUInt8);
    samplers.push_back(std::make_unique<PatchSampler>(one, sampling, AugmentSettings{}, plan));
  }
  return samplers;
}

TEST(PlanEpoch, OneCaseAStepOrAFixedNumber) {
  const auto samplers = drawn_samplers(3, 5);
  const auto by_case = plan_epoch(samplers, 0, 1, 0);
  ASSERT_EQ(by_case.size(), 3u);
  std::set<int64_t> seen;
  for (const auto& step : by_case) {
    EXPECT_EQ(step.size(), 5u);
    for (const auto& patch : step) EXPECT_EQ(patch.case_index, step[0].case_index);
    seen.insert(step[0].case_index);
  }
  EXPECT_EQ(seen.size(), 3u);
  const auto by_four = plan_epoch(samplers, 4, 1, 0);
  ASSERT_EQ(by_four.size(), 4u);  // 15 patches
  EXPECT_EQ(by_four[3].size(), 3u);
}

TEST(PlanEpoch, OrderChangesWithTheEpochOnly) {
  const auto samplers = drawn_samplers(8, 1);
  const auto order = [&](uint64_t seed, int64_t epoch) {
    std::vector<int64_t> cases;
    for (const auto& step : plan_epoch(samplers, 0, seed, epoch)) cases.push_back(step[0].case_index);
    return cases;
  };
  EXPECT_EQ(order(1, 0), order(1, 0));
  EXPECT_NE(order(1, 0), order(1, 1));
  EXPECT_NE(order(1, 0), order(2, 0));
}

TEST(BatchStream, ComesInOrderAndMayStartLater) {
  const auto samplers = drawn_samplers(2, 5);
  const auto steps = plan_epoch(samplers, 3, 1, 0);
  ASSERT_EQ(steps.size(), 4u);  // 3 3 3 1
  BatchStream all(samplers, steps, 2, 0, 7, 0, 1);
  std::vector<Batch> batches;
  for (const int64_t size : {2, 1, 2, 1, 2, 1, 1}) {
    batches.push_back(all.next());
    EXPECT_EQ(batches.back().images.size(0), size);
    EXPECT_EQ(batches.back().classes.scalar_type(), torch::kUInt8) << "an eighth of what losses read";
  }
  BatchStream later(samplers, steps, 2, 2, 7, 0, 3);
  for (size_t i = 4; i < 7; ++i) {
    const Batch batch = later.next();
    EXPECT_EQ(batch.patches, batches[i].patches);
    EXPECT_TRUE(torch::equal(batch.images, batches[i].images));
  }
  BatchStream other(samplers, steps, 2, 0, 7, 1, 2);
  EXPECT_FALSE(torch::equal(other.next().images, batches[0].images));
}

TEST(BatchStream, CanBeLeftEarly) {
  const auto samplers = drawn_samplers(2, 50);
  for (int i = 0; i < 20; ++i) {
    BatchStream stream(samplers, plan_epoch(samplers, 0, 1, 0), 1, 0, 1, 0, 1 + i % 3);
    if (i % 2) stream.next();
  }
}

TEST(BatchStream, TheNumberOfThreadsChangesNothing) {
  const auto samplers = drawn_samplers(3, 20);
  const auto steps = plan_epoch(samplers, 2, 1, 0);
  BatchStream one(samplers, steps, 1, 0, 7, 0, 1), five(samplers, steps, 1, 0, 7, 0, 5);
  for (int i = 0; i < 60; ++i) {
    const Batch a = one.next(), b = five.next();
    ASSERT_EQ(a.patches, b.patches);
    ASSERT_TRUE(torch::equal(a.images, b.images)) << "batch " << i;
  }
}

/// A case that cannot be read.
class Broken : public SampleSource {
 public:
  const std::string& id() const override { return id_; }
  int64_t count() const override { return 1; }
  int64_t bytes() const override { return 1; }
  Sample draw(int64_t, Random) const override { throw Error("broken"); }

 private:
  std::string id_ = "broken";
};

TEST(BatchStream, AFailureComesInItsTurn) {
  auto samplers = drawn_samplers(1, 6);
  samplers.push_back(std::make_unique<Broken>());
  std::vector<PlannedStep> steps;
  for (int64_t i = 0; i < 6; ++i) steps.push_back({{0, i}});
  steps.insert(steps.begin() + 2, PlannedStep{{1, 0}});
  BatchStream stream(samplers, steps, 1, 0, 7, 0, 4);
  EXPECT_EQ(stream.next().patches.size(), 1u);
  EXPECT_EQ(stream.next().patches.size(), 1u);
  EXPECT_THROW(stream.next(), Error);
}

/// A case whose samples say that they are large.
class Large : public SampleSource {
 public:
  explicit Large(std::atomic<int>& drawn) : drawn_(drawn) {}
  const std::string& id() const override { return id_; }
  int64_t count() const override { return 100; }
  int64_t bytes() const override { return int64_t{1} << 28; }
  Sample draw(int64_t, Random) const override {
    ++drawn_;
    return {torch::zeros({1, 1, 1, 1}), torch::zeros({1, 1, 1}, torch::kInt64)};
  }

 private:
  std::atomic<int>& drawn_;
  std::string id_ = "large";
};

TEST(BatchStream, DrawsAsManyAheadAsFitInMemory) {
  std::atomic<int> drawn{0};
  SampleSources samplers;
  samplers.push_back(std::make_unique<Large>(drawn));
  BatchStream stream(samplers, plan_epoch(samplers, 1, 7, 0), 1, 0, 7, 0, {8, int64_t{1} << 30});
  stream.next();
  while (drawn < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(drawn, 3) << "one is used, two of half a GiB (samples and batch) wait";
}

}  // namespace
}  // namespace mambaseg
