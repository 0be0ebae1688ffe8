// Scores of pictures: pairing, masks, pixels, pooled and mean.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/report/contour.h"
#include "mambaseg/report/evaluation.h"
#include "mambaseg/report/summary.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

/// `inside` columns of 20 are the mask, 10 rows.
Picture columns(int64_t from, int64_t to, uint8_t value = 255) {
  Picture picture{20, 10, 1, std::vector<uint8_t>(200)};
  for (int64_t y = 0; y < 10; ++y)
    for (int64_t x = from; x < to; ++x) picture.values[static_cast<size_t>(20 * y + x)] = value;
  return picture;
}

class PictureScores : public testing::Test {
 protected:
  PictureScores() {
    std::filesystem::create_directory(folder / "r");
    std::filesystem::create_directory(folder / "p");
    write_picture(folder / "r/a_segmentation.png", columns(0, 10));  // 100 pixels, 80 found
    write_picture(folder / "p/a.png", columns(2, 10));
    write_picture(folder / "r/b_segmentation.jpg", columns(0, 2));  // 20 pixels, 20 found and 20 too many
    write_picture(folder / "p/b.png", columns(0, 4));
  }
  Evaluation scored() const {
    EvaluationOptions options;
    options.metrics = {"Dice", "IoU", "precision", "HD95"};
    return evaluate(pair_cases(folder / "r", folder / "p"), options);
  }
  TemporaryFolder folder;
};

TEST_F(PictureScores, MeanAndPooledAreWhatTheyAreCalled) {
  const Evaluation e = scored();
  ASSERT_EQ(e.labels.size(), 1u);
  EXPECT_EQ(e.labels[0].id, 1);
  EXPECT_TRUE(e.pictures);
  const double a = 160.0 / 180, b = 40.0 / 60;
  EXPECT_DOUBLE_EQ(describe(e.values(0, 0)).mean, (a + b) / 2);
  EXPECT_DOUBLE_EQ(*e.pooled(0, 0), 200.0 / 240);
  EXPECT_DOUBLE_EQ(*e.pooled(1, 0), 100.0 / 140);
  EXPECT_DOUBLE_EQ(*e.pooled(2, 0), 100.0 / 120);
  EXPECT_FALSE(e.pooled(3, 0).has_value());
  EXPECT_DOUBLE_EQ(e.values(3, 0)[0], 2);
  const Json summary = summary_json(e, {});
  EXPECT_EQ(summary["pooled"]["1"]["IoU"], 100.0 / 140);
  EXPECT_FALSE(summary["pooled"]["1"].contains("HD95"));
  EXPECT_EQ(summary["units"]["HD95"], "px");
  EXPECT_EQ(summary["metric_per_case"][0]["case"], "a");
  const std::string table = text_table(e, {"IoU", "HD95"});
  EXPECT_THAT(table, HasSubstr("mean of pictures"));
  EXPECT_THAT(table, HasSubstr("all pixels pooled"));
  EXPECT_THAT(table, HasSubstr("0.7143"));
  EXPECT_THAT(table, HasSubstr("HD95 px"));
}

TEST_F(PictureScores, LabelNumbersOfATableAreNoMask) {
  EvaluationOptions options;
  options.labels = label_table_from_json(
      Json::parse(R"({"classes": [{"name": "one", "ids": [1]}, {"name": "two", "ids": [2]}]})"), "table");
  Picture labels = columns(0, 5, 1);
  for (size_t i = 0; i < labels.values.size(); ++i)
    if (i % 20 >= 10) labels.values[i] = i % 20 < 18 ? 2 : 255;
  write_picture(folder / "ignored.png", labels);
  const auto numbers = [&](const char* name) {
    const auto read = read_scored_labels(folder / name, options);
    return std::set<int32_t>(read.voxels.begin(), read.voxels.end());
  };
  EXPECT_EQ(numbers("ignored.png"), (std::set<int32_t>{0, 1, 2, 255}));  // 255 in no class
  options.labels.ignore = 255;
  EXPECT_EQ(numbers("ignored.png"), (std::set<int32_t>{0, 1, 2, 255}));
  EXPECT_EQ(numbers("r/a_segmentation.png"), (std::set<int32_t>{0, 255}));  // all of it is named
  options.labels.ignore = 0;
  EXPECT_EQ(numbers("r/a_segmentation.png"), (std::set<int32_t>{0, 1}));  // a mask
  options.labels.colours = {{{255, 0, 0}, 2}};
  write_picture(folder / "red.png", Picture{2, 1, 3, {0, 0, 0, 255, 0, 0}});
  EXPECT_EQ(numbers("red.png"), (std::set<int32_t>{0, 2}));
}

TEST_F(PictureScores, ClassNumbersAreKeptAndAnExplicitThresholdCounts) {
  EvaluationOptions options;
  write_picture(folder / "classes.png", columns(0, 5, 3));
  const auto largest = [&](const std::string& path) {
    const auto labels = read_scored_labels(path, options);
    return *std::max_element(labels.voxels.begin(), labels.voxels.end());
  };
  EXPECT_EQ(largest(folder / "classes.png"), 3);
  EXPECT_EQ(largest(folder / "p/a.png"), 1);
  options.threshold = 2;
  EXPECT_EQ(largest(folder / "classes.png"), 1);
  options.threshold = 255;
  EXPECT_EQ(largest(folder / "p/a.png"), 0);
}

TEST_F(PictureScores, MasksOfAnyKindAreOneStructure) {
  EvaluationOptions options;
  options.metrics = {"Dice"};
  const auto expected = evaluate(pair_cases(folder / "r", folder / "p"), options).values(0, 0);
  Picture soft = columns(0, 10);
  for (size_t i = 0; i < 200; i += 20) soft.values[i + 9] = 140, soft.values[i + 10] = 90;
  write_picture(folder / "r/a_segmentation.png", soft);
  write_picture(folder / "p/a.png", columns(2, 10, 1));
  write_picture(folder / "p/b.png", columns(0, 4, 38));
  std::string warned;
  const Evaluation e = evaluate(pair_cases(folder / "r", folder / "p"), options, {},
                                [&](const std::string& line) { warned += line; });
  ASSERT_EQ(e.labels.size(), 1u);
  EXPECT_EQ(e.values(0, 0), expected);
  EXPECT_THAT(warned, HasSubstr("a_segmentation.png: a mask with grey edges"));

  Picture numbers = columns(0, 2, 1);
  numbers.values[19] = 2;
  write_picture(folder / "p/b.png", numbers);
  try {
    evaluate(pair_cases(folder / "r", folder / "p"), options);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("b.png: expected a mask"));
    EXPECT_THAT(error.what(), HasSubstr("a JPEG cannot keep label numbers"));
  }
}

TEST_F(PictureScores, NumbersThatTheTableNamesAreLabels) {
  EvaluationOptions options;
  options.labels.entries = {{2, "core", {}}, {200, "rim", {}}};
  for (const char* side : {"r/", "p/"}) {
    std::filesystem::remove_all(folder / side);
    std::filesystem::create_directory(folder / side);
    Picture numbers = columns(0, 5, 200);
    numbers.values[19] = 2;
    write_picture(folder / (std::string(side) + "a.png"), numbers);
  }
  const Evaluation e = evaluate(pair_cases(folder / "r", folder / "p"), options);
  EXPECT_EQ(e.count(0, Presence::both) + e.count(1, Presence::both), 2);
}

TEST_F(PictureScores, TwoMasksOfOnePictureAreRefused) {
  write_picture(folder / "r/a.png", columns(0, 10));
  EXPECT_THROW(pair_cases(folder / "r", folder / "p"), Error);
}

TEST(Contour, LiesOnTheInnerSideOfTheBorder) {
  const Picture picture{20, 10, 1, std::vector<uint8_t>(200, 50)};
  const Picture drawn = draw_contour(picture, columns(4, 10), {1, 2, 3});
  const auto pixel = [&](int64_t x, int64_t y) {
    const auto at = drawn.values.begin() + 3 * (20 * y + x);
    return std::vector<uint8_t>(at, at + 3);
  };
  const std::vector<uint8_t> line{1, 2, 3}, bare{50, 50, 50};
  EXPECT_EQ(pixel(3, 5), bare);
  EXPECT_EQ(pixel(4, 5), line);
  EXPECT_EQ(pixel(6, 5), bare);
  EXPECT_EQ(pixel(9, 5), line);
  EXPECT_EQ(pixel(10, 5), bare);
  EXPECT_THROW(draw_contour(picture, {5, 5, 1, std::vector<uint8_t>(25)}, {1, 2, 3}), Error);
}

}  // namespace
}  // namespace mambaseg
