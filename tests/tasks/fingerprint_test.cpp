#include "mambaseg/tasks/volumes/fingerprint.h"

#include <cmath>
#include <filesystem>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/io/image.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class FingerprintTest : public testing::Test {
 protected:
  FingerprintTest() {
    plan_.orientation = "RAS";
    plan_.unknown_labels = "error";
    plan_.classes = {{"lesion", {1}}};
  }
  /// A block of 6 x 4 x 3 voxels in an image of 10 x 9 x 8 on axes `orientation`, its lower half labelled.
  Case draw(const std::string& id, const std::string& orientation = "RAS", float value = 5) {
    Geometry ras;
    ras.size = {10, 9, 8};
    ras.voxel_to_ras_mm.matrix = {{{1, 0, 0}, {0, 1.5, 0}, {0, 0, 3}}};
    Volume<float> image(ras);
    Volume<int32_t> labels(ras);
    for (int64_t k = 2; k < 5; ++k)
      for (int64_t j = 1; j < 5; ++j)
        for (int64_t i = 3; i < 9; ++i) {
          image.at(i, j, k) = value + float(i);
          labels.at(i, j, k) = i < 6;
        }
    const auto turn = permutation_between("RAS", orientation);
    Case one{id, {folder_ / (id + ".nii.gz")}, folder_ / (id + "_labels.nii.gz"), ""};
    write_volume(one.images[0], permuted(image, turn));
    write_labels(one.labels, permuted(labels, turn));
    return one;
  }
  TemporaryFolder folder_;
  Plan plan_;
};

TEST_F(FingerprintTest, SizesSpacingsAndIntensities) {
  const auto found = inspect_cases({draw("a"), draw("b", "PIR", 7)}, plan_, 2);
  EXPECT_THAT(found.problems, IsEmpty());
  for (const CaseFingerprint& one : found.fingerprint.cases) {
    EXPECT_EQ(one.size, (std::vector<int64_t>{6, 4, 3})) << one.id;
    EXPECT_NEAR(one.spacing_mm[1], 1.5, 1e-6) << one.id;
    EXPECT_NEAR(one.spacing_mm[2], 3, 1e-6) << one.id;
  }
  // Labelled are i = 3, 4, 5: values 8, 9, 10 and 10, 11, 12, equally often.
  EXPECT_NEAR(found.fingerprint.channels.at(0).mean, 10, 1e-6);
  EXPECT_NEAR(found.fingerprint.channels.at(0).deviation, std::sqrt((4 + 1 + 0 + 0 + 1 + 4) / 6.0), 1e-6);
  EXPECT_EQ(found.fingerprint.channels.at(0).median, 10);
  EXPECT_EQ(found.fingerprint.class_voxels, (std::vector<double>{2 * 720 - 72, 72}));
  const auto again = from_json<Fingerprint>(to_json(found.fingerprint));
  EXPECT_EQ(to_json(again), to_json(found.fingerprint));
}

TEST_F(FingerprintTest, EveryProblemIsListedAtOnce) {
  std::vector<Case> cases{draw("good"), draw("same"), draw("value"),
                          draw("grid"), draw("nan"),  draw("missing")};
  Volume<int32_t> labels = read_labels(cases[2].labels);
  labels.voxels[0] = 4;
  write_labels(cases[2].labels, labels);
  labels = read_labels(cases[3].labels);
  labels.geometry.voxel_to_ras_mm.offset[0] += 2;
  write_labels(cases[3].labels, labels);
  Volume<float> image = read_volume(cases[4].images[0]);
  image.voxels[7] = std::numeric_limits<float>::quiet_NaN();
  write_volume(cases[4].images[0], image);
  std::filesystem::remove(cases[5].labels);
  for (size_t c : {2U, 3U, 5U}) {  // no longer the same image as the first
    Volume<float> other = read_volume(cases[c].images[0]);
    other.at(4, 2, 3) = 50 + float(c);
    write_volume(cases[c].images[0], other);
  }
  const auto problems = inspect_cases(cases, plan_, 2).problems;
  EXPECT_EQ(problems.size(), 5U);
  EXPECT_THAT(problems, Contains(HasSubstr("cases good and same hold the same image")));
  EXPECT_THAT(problems, Contains(HasSubstr("in no class: 4")));
  EXPECT_THAT(problems, Contains(HasSubstr("not on the grid of the image")));
  EXPECT_THAT(problems, Contains(HasSubstr("NaN")));
  EXPECT_THAT(problems, Contains(HasSubstr("missing_labels")));
}

TEST_F(FingerprintTest, LabelsThatCannotBeReadAreNotCalledEmpty) {
  const Case one = draw("a");
  std::filesystem::remove(one.labels);
  EXPECT_THAT(inspect_cases({one}, plan_, 1).problems, testing::ElementsAre(HasSubstr("no such file")));
}

TEST_F(FingerprintTest, AnotherNumberOfChannelsIsAProblem) {
  Case two = draw("b", "RAS", 7);
  two.images.push_back(draw("c", "RAS", 9).images[0]);
  EXPECT_THAT(inspect_cases({draw("a"), two}, plan_, 2).problems,
              testing::ElementsAre("case b has 2 channels, case a has 1"));
}

TEST_F(FingerprintTest, ClassesThatNeverOccurAndNumbersWithoutMeaning) {
  plan_.unknown_labels = "background";
  plan_.classes = {{"lesion", {1}}, {"core", {2}}};
  std::vector<Case> cases{draw("a"), draw("b", "RAS", 7)};
  Inspection found = inspect_cases(cases, plan_, 1);
  EXPECT_THAT(found.problems, IsEmpty());
  EXPECT_THAT(found.warnings, testing::ElementsAre(HasSubstr("no case holds core")));
  plan_.classes = {{"lesion", {10}}, {"core", {20}}};
  found = inspect_cases(cases, plan_, 1);
  EXPECT_THAT(found.problems,
              testing::ElementsAre(HasSubstr("no case holds lesion, core; the files hold the numbers 1")));
  EXPECT_THAT(found.warnings,
              testing::ElementsAre(HasSubstr("count as background (plan.unknown_labels): 1")));
}

TEST_F(FingerprintTest, AnImageOfOneValueIsAProblem) {
  const Case one = draw("a");
  Volume<float> image = read_volume(one.images[0]);
  image.voxels.assign(image.voxels.size(), 3);
  write_volume(one.images[0], image);
  EXPECT_THAT(inspect_cases({one}, plan_, 1).problems,
              testing::ElementsAre(HasSubstr("every voxel has the value 3")));
}

TEST_F(FingerprintTest, WhatEndsAWorkerReachesTheCaller) {
  const std::vector<Case> cases{draw("a"), draw("b"), draw("c")};
  const auto broken = [](const std::string&, int64_t, int64_t) { throw Error("no place to report to"); };
  EXPECT_THROW(inspect_cases(cases, plan_, 2, broken), Error);
  plan_.orientation = "RAX";
  EXPECT_THROW(inspect_cases(cases, plan_, 2), UsageError);
  plan_.orientation = "RAS";
  plan_.classes = {{"lesion", {int64_t{1} << 32}}};
  EXPECT_THROW(inspect_cases(cases, plan_, 2), UsageError);
}

}  // namespace
}  // namespace mambaseg
