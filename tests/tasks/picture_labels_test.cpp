#include "mambaseg/tasks/pictures/picture_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "mambaseg/tasks/pictures/picture_case.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<int> values(const torch::Tensor& tensor) {
  const auto flat = tensor.to(torch::kInt32).flatten().contiguous();
  return {flat.data_ptr<int>(), flat.data_ptr<int>() + flat.numel()};
}

PicturePlan nuclei() {
  PicturePlan plan;
  plan.classes = {{"inside", {1}}, {"border", {2, 4}}};
  plan.ignore_label = 9;
  return plan;
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(PictureLabels, NumbersBecomeClassesAndBack) {
  const PictureLabels labels(nuclei());
  EXPECT_EQ(labels.score_maps(), 3);
  std::vector<int64_t> unnamed;
  const auto classes = labels.classes_of({6, 1, {0, 1, 2, 4, 7, 9}}, unnamed);
  EXPECT_THAT(values(classes), ElementsAre(0, 1, 2, 2, 0, 255));
  EXPECT_THAT(unnamed, ElementsAre(7));
  const Picture mask = labels.mask_of(classes.slice(1, 0, 4));
  EXPECT_EQ(mask.channels, 1);
  EXPECT_THAT(mask.values, ElementsAre(0, 1, 2, 2));
  EXPECT_THAT(refusal([&] {
                labels.classes_of({1, 1, {1}, true}, unnamed);
              }),
              HasSubstr("save this mask as PNG"));
}

TEST(PictureLabels, AMaskMayLeavePixelsUnlabelled) {
  PicturePlan plan;
  plan.ignore_label = 128;
  const PictureLabels labels(plan);
  EXPECT_TRUE(labels.scheme().ignores());
  std::vector<int64_t> unnamed;
  EXPECT_THAT(values(labels.classes_of({4, 1, {0, 128, 255, 127}}, unnamed)), ElementsAre(0, 255, 1, 0));
  EXPECT_THAT(values(labels.classes_of({3, 1, {0, 128, 128}}, unnamed)), ElementsAre(0, 255, 255));
  EXPECT_THAT(values(labels.classes_of({3, 1, {0, 128, 1}}, unnamed)), ElementsAre(0, 255, 1));
  EXPECT_THAT(values(labels.classes_of({3, 1, {0, 128, 255}, true}, unnamed)), ElementsAre(0, 1, 1))
      << "a whole mask as JPEG, with soft edges";
}

TEST(PictureLabels, TheLargestScoreWins) {
  const PictureLabels labels(nuclei());
  const auto scores = torch::tensor({3.f, 0.f, 0.f, 1.f, 2.f, 0.f, 0.f, 1.f, 5.f}).reshape({1, 3, 1, 3});
  const auto votes = labels.votes(scores.clone())[0];
  EXPECT_THAT(values(labels.decide(votes)), ElementsAre(0, 1, 2));
  const auto maps = labels.probabilities(votes);
  ASSERT_EQ(maps.size(), 2u);
  EXPECT_EQ(maps[1].first, 2);
  EXPECT_TRUE(torch::equal(maps[1].second, votes[2]));
}

TEST(PictureLabels, OneStructureHasOneMapOrTwo) {
  PicturePlan plan;
  plan.threshold = 0.7;
  const PictureLabels one(plan);
  EXPECT_EQ(one.score_maps(), 1);
  const auto scores = torch::tensor({-1.f, 0.5f, 2.f}).reshape({1, 1, 1, 3});  // 0.27, 0.62, 0.88
  EXPECT_THAT(values(one.decide(one.votes(scores)[0])), ElementsAre(0, 0, 1));
  EXPECT_THAT(one.mask_of(torch::tensor({0, 1}).reshape({1, 2})).values, ElementsAre(0, 255));
  plan.scores = "softmax";
  const PictureLabels two(plan);
  EXPECT_EQ(two.score_maps(), 2);
  EXPECT_THAT(values(two.decide(two.votes(torch::cat({torch::zeros_like(scores), scores}, 1))[0])),
              ElementsAre(0, 1, 1));
}

TEST(PictureLabels, RegionsMayOverlap) {
  PicturePlan plan;
  plan.classes = {{"cell", {1, 2}}, {"nucleus", {2}}};
  plan.regions_class_order = {1, 2};
  const PictureLabels labels(plan);
  EXPECT_EQ(labels.score_maps(), 2);
  const auto scores = torch::tensor({-1.f, 1.f, 1.f, -1.f, -1.f, 1.f}).reshape({1, 2, 1, 3});
  const auto votes = labels.votes(scores)[0];
  EXPECT_THAT(values(labels.decide(votes)), ElementsAre(0, 1, 2));
  EXPECT_EQ(labels.probabilities(votes).size(), 2u);
}

TEST(PictureLabels, ColouredMasks) {
  const TemporaryFolder folder;
  PicturePlan plan = nuclei();
  plan.colours = {{"#ff0000", 1}, {"#00FF00", 2}, {"#ffffff", 9}};
  check_plan(plan);
  const PictureLabels labels(plan);
  write_picture(folder / "mask.png", {4, 1, 3, {0, 0, 0, 255, 0, 0, 0, 255, 0, 255, 255, 255}});
  std::vector<int64_t> unnamed;
  const auto classes =
      labels.classes_of(read_picture_numbers(folder / "mask.png", labels.colours()), unnamed);
  EXPECT_THAT(values(classes), ElementsAre(0, 1, 2, 255));
  const Picture mask = labels.mask_of(classes.slice(1, 0, 3));
  EXPECT_THAT(mask.values, ElementsAre(0, 0, 0, 255, 0, 0, 0, 255, 0));
  write_picture(folder / "other.png", {2, 1, 3, {0, 0, 0, 1, 2, 3}});
  EXPECT_THAT(refusal([&] { read_picture_numbers(folder / "other.png", labels.colours()); }),
              HasSubstr("the colour #010203 (column 1, row 0) has no label number"));
  write_picture(folder / "mask.jpg", {2, 1, 3, {0, 0, 0, 255, 0, 0}});
  EXPECT_THAT(refusal([&] { read_picture_numbers(folder / "mask.jpg", labels.colours()); }),
              HasSubstr("save this mask as PNG"));
  plan.colours = {{"red", 1}};
  EXPECT_THAT(refusal([&] { check_plan(plan); }), HasSubstr("expected names as \"#ff0000\""));
  plan.colours = {{"#ff0000", 3}};
  EXPECT_THAT(refusal([&] { check_plan(plan); }), HasSubstr("is label 3, which no class has"));
}

TEST(PictureLabels, ShrunkMasksKeepTheClassThatCoversMost) {
  auto classes = torch::zeros({4, 8}, torch::kUInt8);
  classes.slice(1, 0, 4).fill_(1);
  classes.slice(1, 3, 7).fill_(2);
  const auto small = resized_classes(classes, 2, 2);
  EXPECT_THAT(values(small), ElementsAre(1, 2, 1, 2));
  EXPECT_TRUE(torch::equal(resized_classes(classes, 4, 8), classes));
}

}  // namespace
}  // namespace mambaseg
