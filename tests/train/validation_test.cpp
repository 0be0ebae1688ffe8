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

}  // namespace
}  // namespace mambaseg
