#include "mambaseg/tasks/volumes/augment.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/data/sides.h"

namespace mambaseg {
namespace {

AugmentSettings everything() {
  AugmentSettings settings;
  settings.flip = {0.5, 0.5, 0.5};
  settings.spatial = 1;
  settings.elastic_voxels = 2;
  settings.elastic_spacing = 4;
  settings.intensity = 1;
  settings.noise = 0.1;
  return settings;
}

double determinant(const std::array<Vector3, 3>& m) {
  return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
         m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
         m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

TEST(Augment, IsOffByDefault) {
  Random random(1);
  const PatchTransform transform = draw_transform({}, {8, 8, 8}, random);
  EXPECT_FALSE(transform.resample);
  EXPECT_THAT(transform.flip, testing::Each(false));
  auto image = torch::rand({1, 3, 4, 5});
  const auto before = image.clone();
  augment_intensity({}, image, random);
  EXPECT_TRUE(torch::equal(image, before));
}

TEST(Augment, SameStreamSameTransform) {
  Random a(7, 3), b(7, 3), c(7, 4);
  const auto first = draw_transform(everything(), {8, 8, 8}, a),
             second = draw_transform(everything(), {8, 8, 8}, b),
             third = draw_transform(everything(), {8, 8, 8}, c);
  EXPECT_EQ(first.matrix, second.matrix);
  EXPECT_EQ(first.elastic, second.elastic);
  EXPECT_NE(first.matrix, third.matrix);
}

TEST(Augment, MatrixIsARotationTimesAScaling) {
  AugmentSettings settings = everything();
  settings.scale = 0;
  settings.rotation_degrees = 180;
  Random random(5);
  for (int i = 0; i < 10; ++i)
    EXPECT_NEAR(determinant(draw_transform(settings, {8, 8, 8}, random).matrix), 1, 1e-12);
  settings.scale = 0.2;
  for (int i = 0; i < 10; ++i) {
    const double volume = determinant(draw_transform(settings, {8, 8, 8}, random).matrix);
    EXPECT_GT(volume, std::exp(-0.6));
    EXPECT_LT(volume, std::exp(0.6));
  }
}

TEST(Augment, FlipsAsOftenAsAsked) {
  AugmentSettings settings;
  settings.flip = {0, 1, 0.5};
  int third = 0;
  for (uint64_t i = 0; i < 400; ++i) {
    Random random(2, i);
    const auto transform = draw_transform(settings, {8, 8, 8}, random);
    EXPECT_FALSE(transform.flip[0]);
    EXPECT_TRUE(transform.flip[1]);
    third += transform.flip[2];
  }
  EXPECT_NEAR(third, 200, 50);
}

TEST(Augment, IntensityChangesKeepZerosAndFiniteValues) {
  auto image = torch::rand({2, 4, 4, 4}) + 0.1;
  image.select(1, 0).zero_();
  const auto before = image.clone();
  Random random(9);
  augment_intensity(everything(), image, random);
  EXPECT_TRUE(torch::isfinite(image).all().item<bool>());
  EXPECT_EQ(image.select(1, 0).abs().max().item<float>(), 0);
  EXPECT_GT((image - before).abs().max().item<float>(), 1e-3);
  auto flat = torch::full({1, 2, 2, 2}, 0.5f);  // no range: gamma must not divide by zero
  augment_intensity(everything(), flat, random);
  EXPECT_TRUE(torch::isfinite(flat).all().item<bool>());
}

TEST(Augment, SwapTableExchangesPairsByName) {
  Plan plan;
  plan.classes = {{"left a", {1}}, {"middle", {2}}, {"right a", {3}}};
  AugmentSettings settings;
  settings.swap_classes = {{"left a", "right a"}};
  EXPECT_THAT(swap_table(settings, plan), testing::ElementsAre(0, 3, 2, 1));
  settings.swap_classes = {{"left a", "right b"}};
  EXPECT_THROW(swap_table(settings, plan), UsageError);
  settings.swap_classes = {{"left a"}};
  EXPECT_THROW(swap_table(settings, plan), UsageError);
}

TEST(Augment, FindsTheLeftRightAxis) {
  EXPECT_EQ(left_right_axis("LIA"), 0);
  EXPECT_EQ(left_right_axis("AIR"), 2);
  EXPECT_THROW(left_right_axis("AIS"), UsageError);
}

}  // namespace
}  // namespace mambaseg
