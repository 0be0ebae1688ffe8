#include "mambaseg/core/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Variables = std::map<std::string, std::string>;

Shard named(const std::string& text, const Variables& variables = {}) {
  return shard_named(text, [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string refusal(const std::string& text, const Variables& variables = {}) {
  try {
    named(text, variables);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

Variables array(const std::string& id, const std::string& least, const std::string& step,
                const std::string& count) {
  return {{"SLURM_ARRAY_JOB_ID", "93"},
          {"SLURM_ARRAY_TASK_ID", id},
          {"SLURM_ARRAY_TASK_MIN", least},
          {"SLURM_ARRAY_TASK_STEP", step},
          {"SLURM_ARRAY_TASK_COUNT", count}};
}

TEST(Shard, LooksAtItsOwnFirstAndAtThoseOfTheOthersFromTheirEnds) {
  EXPECT_THAT((Shard{1, 1}.order(4)), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT((Shard{2, 3}.order(8)), ElementsAre(1, 4, 7, 5, 2, 6, 3, 0));
  EXPECT_THAT((Shard{5, 9}.order(2)), ElementsAre(0, 1));
  EXPECT_THAT((Shard{1, 2}.order(0)), ElementsAre());
}

TEST(Shard, EveryCaseIsInTheOrderOfEveryWorkerAndOwnedByOne) {
  for (int64_t count = 1; count <= 7; ++count)
    for (size_t cases = 0; cases < 16; ++cases) {
      std::vector<int> owners(cases);
      for (int64_t index = 1; index <= count; ++index) {
        const Shard shard{index, count};
        std::vector<size_t> order = shard.order(cases);
        std::sort(order.begin(), order.end());
        ASSERT_EQ(order.size(), cases);
        for (size_t i = 0; i < cases; ++i) {
          ASSERT_EQ(order[i], i) << index << "/" << count;
          owners[i] += shard.owns(i);
        }
      }
      for (const int owner : owners) ASSERT_EQ(owner, 1);
    }
}

TEST(Shard, IsNamedByHandOrBySlurm) {
  EXPECT_EQ(named("3/40").index, 3);
  EXPECT_EQ(named("3/40").count, 40);
  const Shard fourth = named("slurm", array("7", "1", "2", "5"));  // --array=1-9:2
  EXPECT_EQ(fourth.index, 4);
  EXPECT_EQ(fourth.count, 5);
  EXPECT_EQ(fourth.job, "Slurm job 93_7");
  EXPECT_EQ(named("slurm", array("0", "0", "1", "1")).index, 1);
}

TEST(Shard, RefusesWhatMakesNoSense) {
  for (const char* text : {"", "3", "0/4", "5/4", "-1/4", "1/4x", "a/b", "1/", "/2"})
    EXPECT_THAT(refusal(text), HasSubstr("--shard: expected I/N")) << text;
  EXPECT_THAT(refusal("slurm"), HasSubstr("there is no SLURM_ARRAY_TASK_ID"));
  EXPECT_THAT(refusal("slurm", array("x", "1", "1", "4")), HasSubstr("SLURM_ARRAY_TASK_ID is x"));
  EXPECT_THAT(refusal("slurm", array("7", "3", "1", "2")), HasSubstr("task 7 is none of 2"));  // 3,7
  EXPECT_THAT(refusal("slurm", array("2", "1", "2", "4")), HasSubstr("task 2 is none of 4"));
  EXPECT_THAT(refusal("slurm", array("1", "1", "0", "1")), HasSubstr("in steps of 0"));
}

}  // namespace
}  // namespace mambaseg
