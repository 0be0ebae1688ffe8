#include "mambaseg/tasks/pictures/picture_case.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "mambaseg/data/picture_mask.h"

#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

Picture plain(int64_t width, int64_t height, const std::vector<uint8_t>& pixel) {
  Picture picture{width, height, static_cast<int>(pixel.size()), {}};
  for (int64_t i = 0; i < width * height; ++i)
    picture.values.insert(picture.values.end(), pixel.begin(), pixel.end());
  return picture;
}

PicturePlan plan_of(int64_t height, int64_t width, const char* intensity = "unit") {
  PicturePlan plan;
  plan.size = {height, width};
  plan.intensity = intensity;
  return plan;
}

TEST(NetworkInput, ColoursGreyAndAlpha) {
  const auto value = [](const torch::Tensor& x, int64_t channel) { return x[channel][0][0].item<int>(); };
  const auto colour = network_input({plain(6, 4, {10, 20, 30, 99})}, plan_of(4, 6));
  EXPECT_EQ(colour.sizes(), (std::vector<int64_t>{3, 4, 6}));
  EXPECT_EQ(value(colour, 0), 10);
  EXPECT_EQ(value(colour, 2), 30);
  const auto tripled = network_input({plain(6, 4, {77})}, plan_of(4, 6));
  EXPECT_EQ(tripled.size(0), 3);
  EXPECT_EQ(value(tripled, 2), 77);
  PicturePlan grey = plan_of(4, 6);
  grey.channels = 1;
  const auto luma = network_input({plain(6, 4, {10, 20, 30})}, grey);
  EXPECT_EQ(luma.size(0), 1);
  EXPECT_EQ(value(luma, 0), 18);  // 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
}

TEST(NetworkInput, RowsStayRows) {
  Picture picture = plain(4, 2, {0});
  picture.values[1] = 200;  // row 0, column 1
  const auto x = network_input({picture}, plan_of(2, 4));
  EXPECT_EQ(x[0][0][1].item<int>(), 200);
  EXPECT_EQ(x.sum().item<int64_t>(), 3 * 200);
}

TEST(NetworkInput, ShrinkingAveragesInsteadOfSkipping) {
  Picture lines = plain(64, 64, {0});
  for (size_t i = 0; i < lines.values.size(); ++i) lines.values[i] = i % 2 ? 200 : 0;  // columns 0 200 0 200
  const auto x = network_input({lines}, plan_of(8, 8)).slice(2, 1, 7).to(torch::kFloat32);
  EXPECT_NEAR(x.min().item<float>(), 100, 2);
  EXPECT_NEAR(x.max().item<float>(), 100, 2);
}

TEST(NetworkInput, MinmaxStretchesAndLeavesEvenPictures) {
  Picture picture = plain(4, 4, {50, 60, 70});
  picture.values[0] = 150;
  const auto x = network_input({picture}, plan_of(4, 4, "minmax"));
  EXPECT_EQ(x.min().item<int>(), 0);
  EXPECT_EQ(x.max().item<int>(), 255);
  EXPECT_NEAR(x[1][2][2].item<int>(), 25.5, 0.5);  // (60 - 50) / 100 * 255
  EXPECT_EQ(network_input({plain(4, 4, {9})}, plan_of(4, 4, "minmax"))[0][0][0].item<int>(), 9);
}

/// A row of pixels.
std::vector<uint8_t> structure(std::vector<int32_t> values, int64_t threshold = 127, bool jpeg = false) {
  PictureNumbers picture{static_cast<int64_t>(values.size()), 1, std::move(values), jpeg};
  return structure_of(picture, threshold);
}

TEST(Masks, AboveTheThresholdOrTheOneValueBesideZero) {
  using Values = std::vector<uint8_t>;
  EXPECT_EQ(structure({0, 127, 128, 255}), (Values{0, 0, 1, 1}));  // soft edges
  EXPECT_EQ(structure({0, 1, 1, 0}), (Values{0, 1, 1, 0}));
  EXPECT_EQ(structure({0, 38}), (Values{0, 1}));  // a dark colour of a palette
  EXPECT_EQ(structure({0, 0}), (Values{0, 0}));
  EXPECT_EQ(structure({1, 1}), (Values{1, 1}));
  EXPECT_EQ(structure({0, 100, 160}, 150), (Values{0, 0, 1}));
  EXPECT_EQ(structure({0, 65535}), (Values{0, 1}));  // 16 bits
  EXPECT_EQ(structure({0, 30000, 33000}), (Values{0, 0, 1}));
  EXPECT_EQ(structure({0, 1, 3, 2}, 127, true), (Values{0, 0, 0, 0}));  // an empty mask as JPEG leaves it
  EXPECT_THROW(structure({0, 1, 2}), Error);                            // label numbers
  EXPECT_THROW(structure({0, 40, 90}), Error);
}

TEST(Masks, PicturesThatCanOnlyBeMasks) {
  EXPECT_TRUE(shows_a_mask({4, 1, {0, 0, 90, 255}}));
  EXPECT_TRUE(shows_a_mask({2, 1, {0, 65535}}));
  EXPECT_FALSE(shows_a_mask({4, 1, {0, 1, 2, 3}}));
  EXPECT_FALSE(shows_a_mask({2, 1, {0, 1}}));
  EXPECT_TRUE(shows_a_mask({2, 1, {0, 1}, true}));
}

TEST(Masks, ColoursOfAPaletteAndOfMore) {
  const TemporaryFolder folder;
  write_picture(folder / "two.png", {2, 1, 3, {0, 0, 0, 128, 0, 0}});
  EXPECT_EQ(structure_of(read_picture_numbers(folder / "two.png")), (std::vector<uint8_t>{0, 1}));
  write_picture(folder / "dark.png", {2, 1, 3, {0, 0, 0, 1, 0, 0}});  // its grey would be 0
  EXPECT_EQ(structure_of(read_picture_numbers(folder / "dark.png")), (std::vector<uint8_t>{0, 1}));
  write_picture(folder / "three.png", {3, 1, 3, {0, 0, 0, 128, 0, 0, 0, 255, 0}});
  EXPECT_THROW(read_picture_numbers(folder / "three.png"), Error);
  write_picture(folder / "on_white.png", {2, 1, 3, {255, 255, 255, 128, 0, 0}});
  EXPECT_THROW(read_picture_numbers(folder / "on_white.png"), Error);
}

class PreparedPictures : public testing::Test {
 protected:
  Case draw(int64_t mask_width) const {
    Picture mask = plain(mask_width, 20, {0});
    for (size_t i = 0; i < mask.values.size(); ++i)
      if (static_cast<int64_t>(i) % mask_width < mask_width / 2) mask.values[i] = 255;
    write_picture(folder / "picture.png", plain(40, 20, {10, 200, 30}));
    write_picture(folder / "mask.png", mask);
    return {"one", {folder / "picture.png"}, folder / "mask.png", ""};
  }
  TemporaryFolder folder;
};

TEST_F(PreparedPictures, AreOfTheSizeOfTheNetwork) {
  const PreparedCase one = prepare_picture(draw(40), plan_of(8, 16));
  EXPECT_EQ(one.image_CIJK.sizes(), (std::vector<int64_t>{3, 8, 16}));
  EXPECT_EQ(one.classes_IJK.sizes(), (std::vector<int64_t>{8, 16}));
  EXPECT_EQ(one.classes_IJK.sum().item<int64_t>(), 8 * 8);
  EXPECT_EQ(one.classes_IJK[3][7].item<int>(), 1);
  EXPECT_EQ(one.classes_IJK[3][8].item<int>(), 0);
}

TEST_F(PreparedPictures, AreReadBackFromTheCacheAndAnotherSizeIsPreparedAnew) {
  const std::vector<Case> cases{draw(40)};
  const std::string cache = folder / "cache";
  EXPECT_EQ(prepare_cases(cases, picture_preparation(plan_of(8, 16)), cache, 1), 1);
  PicturePlan other_threshold = plan_of(8, 16);
  other_threshold.threshold = 0.7;
  EXPECT_EQ(prepare_cases(cases, picture_preparation(other_threshold), cache, 1), 0);
  const PreparedCase fresh = prepare_picture(cases[0], plan_of(8, 16)), loaded = load_prepared(cache, "one");
  EXPECT_TRUE(torch::equal(fresh.image_CIJK, loaded.image_CIJK));
  EXPECT_TRUE(torch::equal(fresh.classes_IJK, loaded.classes_IJK));
  EXPECT_FLOAT_EQ(loaded.scale, 1.0f / 255);
  EXPECT_EQ(prepare_cases(cases, picture_preparation(plan_of(16, 16)), cache, 1), 1);
}

TEST_F(PreparedPictures, AMaskOfAnotherSizeIsRefused) {
  try {
    prepare_picture(draw(30), plan_of(8, 16));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("case one"));
    EXPECT_THAT(error.what(), HasSubstr("the mask is 30x20 pixels, its picture 40x20"));
  }
}

TEST_F(PreparedPictures, MasksOfZeroAndOneAreMasksAndLabelNumbersAreNamed) {
  Case one = draw(40);
  const auto expected = prepare_picture(one, plan_of(8, 16)).classes_IJK;
  Picture mask = read_picture(one.labels);
  for (uint8_t& value : mask.values) value = value > 0;
  write_picture(one.labels, mask);
  EXPECT_TRUE(torch::equal(prepare_picture(one, plan_of(8, 16)).classes_IJK, expected));
  std::vector<std::string> told;
  prepare_cases({one, {"other", one.images, one.labels, ""}}, picture_preparation(plan_of(8, 16)),
                folder / "cache", 1, {}, [&](const std::string& line) { told.push_back(line); });
  EXPECT_THAT(told, testing::ElementsAre(HasSubstr("the structure is where it is 1")));
  mask.values[0] = 2;
  write_picture(one.labels, mask);
  try {
    prepare_picture(one, plan_of(8, 16));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("mask.png: expected a mask"));
  }
}

TEST(CheckPlan, RefusesOtherSizesAndLabelsThatAMaskCannotHold) {
  PicturePlan plan;
  plan.size = {256};
  EXPECT_THROW(check_plan(plan), UsageError);
  plan.size = {256, 256};
  EXPECT_NO_THROW(check_plan(plan));
  plan.classes = {{"a", {1}}, {"b", {256}}};
  EXPECT_THROW(check_plan(plan), UsageError);
  plan.classes = {{"a", {1}}, {"b", {1}}};
  EXPECT_THROW(check_plan(plan), UsageError);
  plan.classes = {{"a", {1, 2}}, {"b", {2}}};
  plan.regions_class_order = {1, 300};
  EXPECT_THROW(check_plan(plan), UsageError);
  plan.regions_class_order = {1, 2};
  plan.colours = {{"#ff0000", 1}};  // none for 2
  EXPECT_THROW(check_plan(plan), UsageError);
  plan.colours["#00ff00"] = 2;
  EXPECT_NO_THROW(check_plan(plan));
}

TEST(NetworkInput, SeveralFilesAreChannels) {
  PicturePlan plan = plan_of(4, 6);
  plan.channels = 4;
  EXPECT_THROW(check_plan(plan), UsageError);  // not of one file
  plan.files = 2;
  EXPECT_NO_THROW(check_plan(plan));
  EXPECT_THROW(network_input({plain(6, 4, {7})}, plan), Error);
  const auto x = network_input({plain(6, 4, {7}), plain(6, 4, {10, 20, 30})}, plan);
  ASSERT_EQ(x.sizes(), (std::vector<int64_t>{4, 4, 6}));
  for (int64_t channel = 0; const int value : {7, 10, 20, 30})
    EXPECT_EQ(x[channel++][3][5].item<int>(), value);
  EXPECT_THROW(network_input({plain(6, 4, {7}), plain(6, 4, {8})}, plan), Error);
  EXPECT_THROW(network_input({plain(6, 4, {7}), plain(5, 4, {1, 2, 3})}, plan), Error);
}

}  // namespace
}  // namespace mambaseg
