#include "mambaseg/report/overlay.h"

#include <gtest/gtest.h>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

Geometry lia_grid(Index3 size, Vector3 spacing) {  // array axes run Left, Inferior, Anterior
  Geometry g;
  g.size = size;
  g.voxel_to_ras_mm.matrix = {{{-spacing[0], 0, 0}, {0, 0, spacing[2]}, {0, -spacing[1], 0}}};
  return g;
}

Colour pixel(const Picture& picture, int64_t x, int64_t y) {
  const uint8_t* rgb = &picture.values[size_t(3 * (x + picture.width * y))];
  return {rgb[0], rgb[1], rgb[2]};
}

bool coloured(Colour c) { return c[0] != c[1] || c[1] != c[2]; }

struct Head {
  Volume<float> image;
  Volume<int32_t> labels;
};

/// Bright block; label 1 in its right front upper corner (in the patient's directions).
Head head() {
  const Geometry g = lia_grid({20, 24, 16}, {1, 1, 2});
  Head h{Volume<float>(g, 50.0F), Volume<int32_t>(g)};
  for (int64_t i = 2; i < 6; ++i)
    for (int64_t j = 3; j < 8; ++j)
      for (int64_t k = 11; k < 14; ++k) h.labels.at(i, j, k) = 1;
  return h;
}

OverlayStyle plain(Convention convention = Convention::radiological) {
  OverlayStyle style;
  style.convention = convention;
  style.crop = false;
  style.pixels = 192;
  return style;
}

TEST(FullestSlices, AreCountedAlongRightAnteriorSuperior) {
  Head h = head();
  h.labels.at(4, 5, 12) = 0;  // neighbours of the slices through this voxel are now fuller
  h.labels.at(3, 5, 12) = 0;
  const Index3 at = fullest_slices(h.labels);
  EXPECT_TRUE(at[0] == 19 - 2 || at[0] == 19 - 5) << at[0];
  EXPECT_TRUE(at[1] == 11 || at[1] == 13) << at[1];
  EXPECT_NE(at[2], 23 - 5);
  EXPECT_EQ(fullest_slices(Volume<int32_t>(h.labels.geometry)), (Index3{10, 8, 12}));
}

TEST(DrawOverlay, ShowsTrueProportions) {
  const Head h = head();
  const Palette palette(std::vector<int32_t>{1});
  const Picture axial = draw_overlay(h.image, nullptr, Plane::axial, 10, palette, plain());  // 20 x 32 mm
  EXPECT_EQ(axial.width, 120);
  EXPECT_EQ(axial.height, 192);
  const Picture sagittal =
      draw_overlay(h.image, nullptr, Plane::sagittal, 10, palette, plain());  // 32 x 24 mm
  EXPECT_EQ(sagittal.width, 192);
  EXPECT_EQ(sagittal.height, 144);
}

TEST(DrawOverlay, PutsTheLabelOnTheSideThatTheConventionSays) {
  const Head h = head();
  const Palette palette(std::vector<int32_t>{1});
  const int64_t superior = 23 - 5, anterior = 12, right = 19 - 3;
  // The block's middle: 3.5 of 20 voxels from the right, 12.5 of 16 to the front, 18 of 24 up.
  const auto at = [](const Picture& p, double x, double y) {
    return coloured(pixel(p, int64_t(x * double(p.width)), int64_t(y * double(p.height))));
  };
  const Picture radiological = draw_overlay(h.image, &h.labels, Plane::axial, superior, palette, plain());
  EXPECT_TRUE(at(radiological, 0.2, 0.22));
  EXPECT_FALSE(at(radiological, 0.8, 0.22));
  const Picture neurological =
      draw_overlay(h.image, &h.labels, Plane::axial, superior, palette, plain(Convention::neurological));
  EXPECT_TRUE(at(neurological, 0.8, 0.22));
  EXPECT_FALSE(at(neurological, 0.2, 0.22));
  const Picture coronal = draw_overlay(h.image, &h.labels, Plane::coronal, anterior, palette, plain());
  EXPECT_TRUE(at(coronal, 0.2, 0.22));
  EXPECT_FALSE(at(coronal, 0.2, 0.8));
  const Picture sagittal = draw_overlay(h.image, &h.labels, Plane::sagittal, right, palette, plain());
  EXPECT_TRUE(at(sagittal, 0.22, 0.22));
  EXPECT_FALSE(at(sagittal, 0.78, 0.22));
}

TEST(DrawOverlay, WindowsTheImageAndLeavesItGrey) {
  Head h = head();
  for (int64_t k = 0; k < 16; ++k)
    for (int64_t j = 0; j < 24; ++j)
      for (int64_t i = 0; i < 20; ++i) h.image.at(i, j, k) = float(1000 + 100 * j);
  const Picture p = draw_overlay(h.image, nullptr, Plane::coronal, 8, Palette({}), plain());
  const Colour top = pixel(p, 100, 2), bottom = pixel(p, 100, p.height - 3);
  EXPECT_FALSE(coloured(top));
  EXPECT_LT(top[0], 30);
  EXPECT_GT(bottom[0], 225);
}

TEST(DrawOverlay, RefusesOtherGridsAndSlicesOutside) {
  const Head h = head();
  Volume<int32_t> moved = h.labels;
  moved.geometry.voxel_to_ras_mm.offset[0] += 1;
  const Palette palette(std::vector<int32_t>{1});
  EXPECT_THROW(draw_overlay(h.image, &moved, Plane::axial, 3, palette), Error);
  EXPECT_THROW(draw_overlay(h.image, nullptr, Plane::axial, 24, palette), Error);
  EXPECT_THROW(draw_overlay(h.image, nullptr, Plane::axial, -1, palette), Error);
}

TEST(DrawThreePlanes, OneRowForEachLabelMapAndOnePlaneForASlice) {
  const Head h = head();
  const std::vector<OverlayRow> one{{"reference", &h.labels}};
  const std::vector<OverlayRow> two{{"reference", &h.labels}, {"prediction", nullptr}};
  const Picture first = draw_three_planes(h.image, one, {}, plain());
  const Picture both = draw_three_planes(h.image, two, {}, plain());
  EXPECT_EQ(first.width, both.width);
  EXPECT_EQ(first.width, 120 + 120 + 192 + 16);
  EXPECT_EQ(both.height - 4, 2 * (first.height - 4));
  const Geometry flat = lia_grid({20, 1, 16}, {1, 1, 2});
  const Picture slice =
      draw_three_planes(Volume<float>(flat, 1.0F), std::vector<OverlayRow>{{"x", nullptr}}, {}, plain());
  EXPECT_EQ(slice.width, 120 + 8);
  EXPECT_THROW(draw_three_planes(h.image, one, Index3{0, 0, 24}), Error);
}

TEST(DrawThreePlanes, CropsTheDarkBorder) {
  const Geometry g = lia_grid({64, 64, 64}, {1, 1, 1});
  Volume<float> image(g);
  for (int64_t k = 20; k < 40; ++k)
    for (int64_t j = 10; j < 50; ++j)
      for (int64_t i = 30; i < 50; ++i) image.at(i, j, k) = 100;
  OverlayStyle style = plain();
  style.crop = true;
  const Picture axial = draw_overlay(image, nullptr, Plane::coronal, 30, Palette({}), style);
  EXPECT_EQ(axial.height, 192);
  EXPECT_NEAR(double(axial.width), 192 * 22.0 / 42, 1);
}

TEST(Palette, SharesOutColoursAndKnowsFreeSurfer) {
  const Palette freesurfer(std::vector<int32_t>{17, 53});
  EXPECT_EQ(freesurfer.colour(17), (Colour{220, 216, 20}));
  const Palette small(std::vector<int32_t>{1, 2});
  EXPECT_NE(small.colour(1), small.colour(2));
  const Palette mixed(std::vector<int32_t>{1, 17});
  EXPECT_NE(mixed.colour(17), freesurfer.colour(17));
  EXPECT_EQ(mixed.colour(1), small.colour(1));
  EXPECT_EQ(mixed.colour(17), small.colour(2));  // by place in the set, so that any numbers stay apart
  std::vector<int32_t> many;
  for (int32_t label = 100; label < 132; ++label) many.push_back(label);
  const Palette palette(many);
  for (const int32_t a : many)
    for (const int32_t b : many)
      if (a < b) {
        EXPECT_NE(palette.colour(a), palette.colour(b)) << a << " " << b;
      }
}

}  // namespace
}  // namespace mambaseg
