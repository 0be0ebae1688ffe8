#include "mambaseg/train/validation.h"

#include <gtest/gtest.h>

namespace mambaseg {
namespace {

TEST(Validation, DiceOfClasses) {
  const auto labelled = torch::tensor({0, 1, 1, 2, 0, 0}, torch::kUInt8),
             predicted = torch::tensor({0, 1, 0, 0, 3, 0}, torch::kUInt8);
  const CaseDice dice = dice_of(predicted, labelled, {{1}, {2}, {3}});
  ASSERT_EQ(dice.size(), 3u);
  EXPECT_DOUBLE_EQ(*dice[0], 2.0 / 3);
  EXPECT_DOUBLE_EQ(*dice[1], 0);      // missed
  EXPECT_FALSE(dice[2].has_value());  // absent from the labels
}

TEST(Validation, RegionsAreUnionsAndIgnoredVoxelsDoNotCount) {
  const auto labelled = torch::tensor({1, 2, 3, 0, 255, 255}, torch::kUInt8),
             predicted = torch::tensor({1, 1, 3, 2, 1, 3}, torch::kUInt8);
  const CaseDice dice = dice_of(predicted, labelled, {{1, 2, 3}, {2, 3}, {3}});
  EXPECT_DOUBLE_EQ(*dice[0], 2 * 3.0 / (4 + 3));
  EXPECT_DOUBLE_EQ(*dice[1], 2 * 1.0 / (2 + 2));
  EXPECT_DOUBLE_EQ(*dice[2], 1);
}

TEST(Validation, MeansLeaveAbsentClassesOut) {
  const std::vector<CaseDice> cases{{0.5, std::nullopt}, {1.0, 0.0}, {std::nullopt, std::nullopt}};
  EXPECT_DOUBLE_EQ(mean_dice(cases), (0.5 + 0.5) / 2);
  EXPECT_DOUBLE_EQ(*class_means(cases)[0], 0.75);
  EXPECT_DOUBLE_EQ(*class_means(cases)[1], 0);
  EXPECT_EQ(mean_dice({}), 0);
  EXPECT_TRUE(class_means({}).empty());
}

/// Class 1 where the image is bright: each voxel is judged alone, so patches must fit together without a
/// seam.
struct Threshold : Network {
  Extent size_multiples() const override { return {1, 1, 1}; }
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    return {torch::cat({torch::full_like(x, 0.5), x}, 1)};
  }
};

TEST(Validation, PatchesCoverTheWholeCase) {
  PreparedCase one;
  one.image_CIJK = torch::randint(0, 256, {1, 11, 8, 5}, torch::kUInt8);
  one.scale = 1.0f / 255;
  one.classes_IJK = torch::zeros({11, 8, 5}, torch::kUInt8);
  Threshold network;
  const auto expected = (one.image_CIJK[0] >= 128).to(torch::kUInt8);
  EXPECT_TRUE(torch::equal(predict_side_by_side(network, one, {4, 4, 4}, torch::kCPU, LabelScheme(Plan{})),
                           expected));
  EXPECT_TRUE(torch::equal(predict_side_by_side(network, one, {16, 8, 5}, torch::kCPU, LabelScheme(Plan{})),
                           expected));
}

}  // namespace
}  // namespace mambaseg
