// Every command of the list: help, unknown options, and what a typing mistake gives.
#include "cli/commands.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/terminal.h"
#include "mambaseg/config/config.h"
#include "mambaseg/io/image.h"
#include "mambaseg/kernels/target.h"
#include "tests/cli/program.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Program, HelpAndVersionExitZero) {
  const ProgramResult help = run_mambaseg("--help");
  EXPECT_EQ(help.exit_code, 0);
  for (const Command& command : commands()) EXPECT_THAT(help.out, HasSubstr(command.name));
  EXPECT_THAT(help.out, HasSubstr("not a medical device"));
  const ProgramResult version = run_mambaseg("--version");
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, StartsWith("0."));
  EXPECT_THAT(version.out, HasSubstr(concat("\nkernels on this processor: ", best_target().name, "\n")));
  EXPECT_THAT(version.out, HasSubstr("\nbuilt with LibTorch "));
  EXPECT_LE(std::count(version.out.begin(), version.out.end(), '\n'), 6);
}

TEST(Program, SaysWithoutLibTorchWhatTheWholeOneSays) {
  const TemporaryFolder folder;
  for (const std::string words : {"networks --json", "recipe", "models", "models --json", "predict -h"}) {
    SCOPED_TRACE(words);
    const std::string whole = MAMBASEG_BINARY_DIR "/libexec/mambaseg/mambaseg_whole " + words;
    ASSERT_EQ(std::system((whole + " >" + (folder / "out")).c_str()), 0);
    EXPECT_EQ(run_mambaseg(words).out, read_bytes(folder / "out"));
    EXPECT_THAT(libraries_loaded_by_mambaseg(words), Not(HasSubstr("libtorch")));
  }
  for (const Command& command : commands())
    EXPECT_THAT(libraries_loaded_by_mambaseg(command.name + std::string(" --help")),
                Not(HasSubstr("libtorch")))
        << command.name;
}

TEST(Program, NoCommandOrAnUnknownOneIsAUsageError) {
  EXPECT_EQ(run_mambaseg("").exit_code, 2);
  const ProgramResult unknown = run_mambaseg("segmentate");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, StartsWith("mambaseg: error: "));
}

TEST(Program, NamesTheWrongWordAndTheNearestCommand) {
  EXPECT_THAT(run_mambaseg("predicct -i x").err, HasSubstr("no command predicct, did you mean predict?"));
  EXPECT_THAT(run_mambaseg("segmentate").err, HasSubstr("segmentate"));
  EXPECT_THAT(run_mambaseg("predict").err, HasSubstr("mambaseg predict --help"));
  EXPECT_THAT(run_mambaseg("predict --modle x").err, HasSubstr("no option --modle, did you mean --model?"));
}

TEST(Program, LoadsLibTorchForWhatComputesOnly) {
  const TemporaryFolder folder;
  const std::string labels = folder / "labels.nii.gz";
  write_labels(labels, Volume<int32_t>(oblique_grid(), 1));
  for (const std::string& words :
       {std::string("--version"), std::string("--help"), std::string("predicct"), std::string("orders"),
        "inspect " + labels, "evaluate -r " + labels + " -p " + labels + " -o " + (folder / "scores")}) {
    const std::string libraries = libraries_loaded_by_mambaseg(words);
    EXPECT_THAT(libraries, HasSubstr("libc.so")) << words;
    EXPECT_THAT(libraries, Not(HasSubstr("libtorch"))) << words;
  }
  EXPECT_THAT(libraries_loaded_by_mambaseg("networks unet"), HasSubstr("libtorch"));
}

TEST(Program, IsNotWholeWithoutThePartThatComputes) {
  const TemporaryFolder folder;
  const std::string alone = folder / "mambaseg";
  std::filesystem::copy_file(MAMBASEG_BINARY_DIR "/bin/mambaseg", alone);
  EXPECT_EQ(std::system((alone + " --version >/dev/null").c_str()), 0);
  EXPECT_NE(std::system((alone + " networks unet 2>" + (folder / "err")).c_str()), 0);
  EXPECT_THAT(read_bytes(folder / "err"), HasSubstr("mambaseg_whole: the part of the program that computes"));
}

// When this fails: make docs.
TEST(Documentation, TheListOfNetworksIsWhatTheProgramSays) {
  std::ifstream file(MAMBASEG_SOURCE_DIR "/docs/networks.md");
  const std::string written{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(written, run_mambaseg("networks --markdown").out);
}

TEST(Networks, CostIsCountedForASizeAndForSettings) {
  // The first convolution of the network: 64 x 64 pixels, 9 places, 3 channels to 4; and so on by hand.
  const std::string settings = " --set widths=[4,8] --set classes=2";
  const int64_t encoder = 64 * 64 * 9 * (3 * 4 + 4 * 4) + 32 * 32 * 9 * (4 * 8 + 8 * 8);
  const int64_t decoder = 64 * 64 * (8 * 4 + 9 * (8 * 4 + 4 * 4) + 4 * 2);
  const ProgramResult found = run_mambaseg("networks unet --cost 64 --json" + settings);
  ASSERT_EQ(found.exit_code, 0) << found.err;
  const Json cost = Json::parse(found.out);
  EXPECT_EQ(cost.at("multiply_adds").get<int64_t>(), encoder + decoder);
  EXPECT_EQ(cost.at("state_updates").get<int64_t>(), 0);
  EXPECT_THAT(run_mambaseg("networks unet --cost 64x32" + settings).out, HasSubstr("one image of 64 x 32"));
  for (const char* words : {"networks --cost 64", "networks unet --cost 64y", "networks unet --cost 0"})
    EXPECT_EQ(run_mambaseg(words).exit_code, 2) << words;
  EXPECT_EQ(run_mambaseg("networks vm_unet --cost 60").exit_code, 1);
}

TEST(Orders, ListsDrawsAndPrintsTheWalks) {
  const TemporaryFolder folder;
  const std::string page = folder / "orders.html";
  const ProgramResult drawn = run_mambaseg("orders cross --json --picture " + page);
  ASSERT_EQ(drawn.exit_code, 0) << drawn.err;
  const Json cross = Json::parse(drawn.out).at(0);
  EXPECT_EQ(cross.at("grid"), Json::parse("[1, 4, 6]"));
  EXPECT_EQ(cross.at("walks").at(0).size(), 4u);
  EXPECT_EQ(cross.at("walks").at(0).at(1).at(1), 6);  // down the first column
  EXPECT_TRUE(std::filesystem::exists(page));
  EXPECT_THAT(run_mambaseg("orders").out, HasSubstr("MedSegMamba"));
  EXPECT_EQ(run_mambaseg("orders spirals").exit_code, 2);
}

TEST(Program, WhatCannotBePrintedIsAnError) {
  for (const char* words : {"networks --json", "--help", "--version", "train --help"}) {
    const ProgramResult full = run_mambaseg_printing_to(words, "/dev/full");
    EXPECT_EQ(full.exit_code, 1) << words;
    EXPECT_THAT(full.err, HasSubstr("No space left on device")) << words;
  }
  const ProgramResult closed = run_mambaseg_printing_to("networks", "&-");
  EXPECT_EQ(closed.exit_code, 0);
  EXPECT_EQ(closed.err, "");
}

TEST(Progress, ALineNowAndThenWithoutATerminal) {
  testing::internal::CaptureStderr();
  const Progress seldom = progress_lines(1000), often = progress_lines(0);
  for (int done = 1; done <= 3; ++done) {
    seldom("training", done, 3);
    often("predicting", done, 3);
  }
  const std::string lines = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3) << lines;
  EXPECT_THAT(lines, HasSubstr("predicting: 2 of 3"));
}

TEST(Commands, HelpExitsZeroAndAnUnknownOptionTwo) {
  for (const Command& command : commands()) {
    const ProgramResult help = run_mambaseg(std::string(command.name) + " --help");
    EXPECT_EQ(help.exit_code, 0) << command.name;
    EXPECT_GT(help.out.size(), 100u) << command.name;
    const ProgramResult unknown = run_mambaseg(std::string(command.name) + " --no-such-option");
    EXPECT_EQ(unknown.exit_code, 2) << command.name;
    EXPECT_THAT(unknown.err, StartsWith("mambaseg: error: ")) << command.name;
    EXPECT_EQ(std::count(unknown.err.begin(), unknown.err.end(), '\n'), 1)
        << command.name << ": " << unknown.err;
  }
}

}  // namespace
}  // namespace mambaseg
