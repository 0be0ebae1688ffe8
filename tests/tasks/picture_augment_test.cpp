#include "mambaseg/tasks/pictures/picture_augment.h"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "mambaseg/core/ignored_class.h"

namespace mambaseg {
namespace {

/// Values that tell the place; the mask is the lower left quarter.
PreparedCase drawn(int64_t height, int64_t width) {
  PreparedCase one;
  one.id = "drawn";
  one.scale = 1;
  one.image_CIJK = (torch::arange(3 * height * width) % 251).view({3, height, width}).to(torch::kUInt8);
  one.classes_IJK = torch::zeros({height, width}, torch::kUInt8);
  one.classes_IJK.slice(0, height / 2).slice(1, 0, width / 2).fill_(1);
  return one;
}

constexpr PictureTransform kIdentity{{{1, 0}, {0, 1}}};

TEST(Transformed, TheIdentityChangesNothing) {
  const PreparedCase one = drawn(7, 10);
  const Sample sample = transformed(one, kIdentity);
  EXPECT_TRUE(torch::equal(sample.image, one.image_CIJK.to(torch::kFloat32)));
  EXPECT_TRUE(torch::equal(sample.classes, one.classes_IJK.to(torch::kInt64)));
}

TEST(Transformed, FlipsAndQuarterTurnsAreExact) {
  for (const int64_t edge : {6, 7}) {
    const PreparedCase one = drawn(edge, edge);
    const auto image = one.image_CIJK.to(torch::kFloat32);
    const auto mask = one.classes_IJK.to(torch::kInt64);
    const Sample upside_down = transformed(one, {{{-1, 0}, {0, 1}}});
    EXPECT_TRUE(torch::equal(upside_down.image, torch::flip(image, {1})));
    EXPECT_TRUE(torch::equal(upside_down.classes, torch::flip(mask, {0})));
    const Sample mirrored = transformed(one, {{{1, 0}, {0, -1}}});
    EXPECT_TRUE(torch::equal(mirrored.image, torch::flip(image, {2})));
    const Sample turned = transformed(one, {{{0, -1}, {1, 0}}});
    EXPECT_TRUE(torch::equal(turned.image, torch::rot90(image, -1, {1, 2})) ||
                torch::equal(turned.image, torch::rot90(image, 1, {1, 2})));
    EXPECT_TRUE(torch::equal(turned.classes, torch::rot90(mask, -1, {0, 1})) ||
                torch::equal(turned.classes, torch::rot90(mask, 1, {0, 1})));
  }
}

TEST(Transformed, IsBilinearBetweenPixelsAndBlackOutside) {
  PreparedCase one = drawn(5, 5);
  one.image_CIJK = (torch::arange(5).view({1, 1, 5}) * 10).expand({3, 5, 5}).to(torch::kUInt8).contiguous();
  one.scale = 0.5f;
  const Sample shrunk = transformed(one, {{{0.5, 0}, {0, 0.5}}});  // looks at the middle only
  for (int64_t c = 0; c < 5; ++c)
    EXPECT_FLOAT_EQ(shrunk.image[0][2][c].item<float>(), 0.5f * (20 + 5 * static_cast<float>(c - 2)));
  const Sample wide = transformed(one, {{{2, 0}, {0, 2}}});
  EXPECT_EQ(wide.image[0][0][0].item<float>(), 0);
  EXPECT_EQ(wide.image[0][2][2].item<float>(), 10);
  EXPECT_EQ(wide.classes[4][0].item<int64_t>(), 0);
}

TEST(Transformed, OutsideIsUnlabelledWhereSomeOfTheMaskIs) {
  PreparedCase one = drawn(5, 5);
  one.classes_IJK[0][0] = kIgnoredClass;
  const Sample wide = transformed(one, {{{2, 0}, {0, 2}}});
  EXPECT_EQ(wide.classes[4][0].item<int64_t>(), kIgnoredClass);
  EXPECT_EQ(wide.classes[1][1].item<int64_t>(), kIgnoredClass);  // shows the corner
  EXPECT_EQ(wide.classes[2][2].item<int64_t>(), 0);
  EXPECT_EQ(wide.image[0][0][0].item<float>(), 0);
}

TEST(Transformed, PictureAndMaskStayTogether) {
  PreparedCase one = drawn(64, 64);
  one.image_CIJK = (one.classes_IJK * 200).unsqueeze(0).expand({3, 64, 64}).contiguous();
  PictureAugmentSettings settings;
  settings.flip = {0.5, 0.5};
  settings.rotation = 1;
  settings.scale = 0.2;
  for (uint64_t stream = 0; stream < 10; ++stream) {
    Random random(1, stream);
    const Sample sample = transformed(one, draw_transform(settings, random));
    const auto bright = (sample.image[1] >= 100).to(torch::kInt64);
    const double differ = (bright != sample.classes).to(torch::kFloat64).mean().item<double>();
    EXPECT_LT(differ, 0.02) << stream;  // pixels of the border, where linear and nearest round apart
  }
}

TEST(DrawTransform, IsTheIdentityByDefaultAndSeeded) {
  Random none(1, 1);
  EXPECT_EQ(draw_transform({}, none), kIdentity);
  PictureAugmentSettings settings;
  settings.flip = {0.5, 0.5};
  settings.rotation = 0.5;
  std::set<PictureTransform> seen;
  int turned = 0;
  for (uint64_t stream = 0; stream < 400; ++stream) {
    Random a(3, stream), b(3, stream);
    const PictureTransform m = draw_transform(settings, a);
    EXPECT_EQ(m, draw_transform(settings, b));
    EXPECT_NEAR(std::abs(m[0][0] * m[1][1] - m[0][1] * m[1][0]), 1, 1e-12);
    seen.insert(m);
    turned += m[0][1] != 0;
  }
  EXPECT_NEAR(turned, 200, 4 * std::sqrt(400 * 0.25));
  EXPECT_GT(seen.size(), 150u);
}

TEST(ChangeColours, IsWhatEachFactorSays) {
  torch::manual_seed(1);
  const torch::Tensor picture = 0.25 + 0.5 * torch::rand({3, 5, 6});
  const torch::Tensor grey = 0.299 * picture[0] + 0.587 * picture[1] + 0.114 * picture[2];
  PictureAugmentSettings none;
  none.brightness = none.contrast = none.saturation = none.tint = 0;
  const auto changed = [&](double PictureAugmentSettings::*setting) {
    PictureAugmentSettings settings = none;
    if (setting) settings.*setting = 0.2;
    torch::Tensor image = picture.clone();
    Random random(3, 1);
    change_colours(settings, image, random);
    return image;
  };
  EXPECT_TRUE(torch::allclose(changed(nullptr), picture, 0, 1e-6));
  // Distances from `centre` are multiplied by one factor, which is not 1.
  const auto expect_scaled_about = [](const torch::Tensor& centre, const torch::Tensor& before,
                                      const torch::Tensor& after) {
    const torch::Tensor distance = before - centre;
    const double factor = ((after - centre).abs().max() / distance.abs().max()).item<double>();
    EXPECT_GT(std::abs(factor - 1), 1e-3);
    EXPECT_TRUE(torch::allclose(after, centre + factor * distance, 0, 1e-5));
  };
  const torch::Tensor black = torch::zeros({});
  expect_scaled_about(black, picture, changed(&PictureAugmentSettings::brightness));
  expect_scaled_about(grey.mean(), picture, changed(&PictureAugmentSettings::contrast));
  expect_scaled_about(grey, picture, changed(&PictureAugmentSettings::saturation));
  const torch::Tensor tinted = changed(&PictureAugmentSettings::tint);
  for (int64_t channel = 0; channel < 3; ++channel)
    expect_scaled_about(black, picture[channel], tinted[channel]);
  EXPECT_FALSE(torch::allclose(tinted[0] / picture[0], tinted[1] / picture[1], 0, 1e-3));
}

TEST(ChangeColours, StaysBetweenBlackAndWhite) {
  torch::manual_seed(1);
  torch::Tensor image = torch::rand({3, 8, 8});
  PictureAugmentSettings settings;
  settings.brightness = settings.contrast = settings.saturation = settings.tint = 1;
  for (uint64_t stream = 0; stream < 20; ++stream) {
    Random random(1, stream);
    torch::Tensor changed = image.clone();
    change_colours(settings, changed, random);
    EXPECT_GE(changed.min().item<float>(), 0);
    EXPECT_LE(changed.max().item<float>(), 1);
  }
}

TEST(PictureSampler, DependsOnTheStreamOnly) {
  PictureAugmentSettings settings;
  settings.flip = {0.5, 0.5};
  settings.rotation = 1;
  const PictureSampler sampler(drawn(16, 16), settings);
  EXPECT_EQ(sampler.count(), 1);
  const Sample first = sampler.draw(0, Random(3, 5));
  sampler.draw(0, Random(3, 6));
  EXPECT_TRUE(torch::equal(first.image, sampler.draw(0, Random(3, 5)).image));
  EXPECT_FALSE(torch::equal(first.image, sampler.draw(0, Random(3, 7)).image));
}

}  // namespace
}  // namespace mambaseg
