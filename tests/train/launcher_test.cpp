#include "mambaseg/train/launcher.h"

#include <gmock/gmock.h>

#include <map>

namespace mambaseg {
namespace {

WorldPlace place_of(const std::map<std::string, std::string>& variables) {
  return place_of_process([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string refusal(const std::map<std::string, std::string>& variables) {
  try {
    place_of(variables);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

const std::map<std::string, std::string> kTorchrun = {{"RANK", "5"},
                                                      {"WORLD_SIZE", "8"},
                                                      {"LOCAL_RANK", "1"},
                                                      {"LOCAL_WORLD_SIZE", "4"},
                                                      {"MASTER_ADDR", "gpu01"},
                                                      {"MASTER_PORT", "29400"}};

TEST(Launcher, WithoutOneAProcessIsAlone) {
  EXPECT_EQ(place_of({}).size, 1);
  EXPECT_EQ(place_of({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).size, 1) << "torchrun of one process";
}

TEST(Launcher, TorchrunSaysWhere) {
  const WorldPlace place = place_of(kTorchrun);
  EXPECT_EQ(place.rank, 5);
  EXPECT_EQ(place.size, 8);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.local_size, 4);
  EXPECT_EQ(place.address, "gpu01");
  EXPECT_EQ(place.port, 29400);
  auto agent = kTorchrun;
  agent["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  EXPECT_EQ(place_of(agent).port, 29401) << "torchrun listens at the other";
}

TEST(Launcher, SlurmSaysWhere) {
  const WorldPlace place = place_of({{"SLURM_PROCID", "3"},
                                     {"SLURM_STEP_NUM_TASKS", "4"},
                                     {"SLURM_LOCALID", "1"},
                                     {"SLURM_STEP_TASKS_PER_NODE", "2(x2)"},
                                     {"SLURM_STEP_NODELIST", "node[07-08]"},
                                     {"SLURM_JOB_ID", "1234567"}});
  EXPECT_EQ(place.rank, 3);
  EXPECT_EQ(place.size, 4);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.local_size, 2);
  EXPECT_EQ(place.address, "node07");
  EXPECT_EQ(place.port, 24567);
}

TEST(Launcher, AScriptOfSlurmThatIsNoStepIsAlone) {
  EXPECT_EQ(place_of({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_JOB_ID", "7"}}).size, 1);
}

TEST(Launcher, WhatMakesNoSenseIsNamed) {
  auto wrong = kTorchrun;
  wrong["RANK"] = "8";
  EXPECT_EQ(refusal(wrong), "RANK=8 in the environment: expected a whole number from 0 to 7");
  wrong = kTorchrun;
  wrong.erase("MASTER_PORT");
  EXPECT_THAT(refusal(wrong), testing::HasSubstr("no MASTER_PORT"));
}

TEST(Launcher, TheFirstHostOfAList) {
  EXPECT_EQ(first_host("node03"), "node03");
  EXPECT_EQ(first_host("node03,node04"), "node03");
  EXPECT_EQ(first_host("node[03-05,9],other"), "node03");
  EXPECT_EQ(first_host("gpu-a[1,3]"), "gpu-a1");
}

}  // namespace
}  // namespace mambaseg
