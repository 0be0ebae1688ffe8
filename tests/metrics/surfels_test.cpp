#include "mambaseg/metrics/surfels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numeric>
#include <set>

#include "tests/metrics/blobs.h"

namespace mambaseg {
namespace {

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

TEST(SurfelAreas, EveryMixedCubeHasSurfaceAndTheComplementHasTheSame) {
  const auto areas = surfel_areas({1, 0.8, 3}, {true, true, true});
  for (unsigned code = 0; code < 256; ++code) {
    EXPECT_EQ(areas[code] > 0, code != 0 && code != 255) << code;
    EXPECT_EQ(areas[code], areas[255 - code]);
  }
  // In a cube of 1 mm a corner is cut off by sqrt(3)/8, an edge by sqrt(1/2), a face by 1.
  const auto unit = surfel_areas({1, 1, 1}, {true, true, true});
  EXPECT_DOUBLE_EQ(unit[0b1], std::sqrt(3.0) / 8);
  EXPECT_DOUBLE_EQ(unit[0b11], std::sqrt(0.5));
  EXPECT_DOUBLE_EQ(unit[0b1111], 1);
  EXPECT_DOUBLE_EQ(areas[0b1111], 0.8);  // the face between two planes of k
  EXPECT_DOUBLE_EQ(areas[0b01010101], 0.8 * 3);
}

TEST(SurfelAreas, ContoursOfASliceAndEndsOfALine) {
  const auto lengths = surfel_areas({2, 1, 3}, {true, false, true});  // codes with dj = 0: bits 0, 1, 4, 5
  EXPECT_DOUBLE_EQ(lengths[0b000011], 2);
  EXPECT_DOUBLE_EQ(lengths[0b010001], 3);
  EXPECT_DOUBLE_EQ(lengths[0b000001], std::sqrt(13.0) / 2);
  EXPECT_DOUBLE_EQ(lengths[0b100001], std::sqrt(13.0));
  EXPECT_EQ(lengths[0b110011], 0);
  const auto ends = surfel_areas({2, 1, 3}, {false, true, false});
  EXPECT_EQ(ends[0b1], 1);
  EXPECT_EQ(ends[0b100], 1);
  EXPECT_EQ(ends[0b101], 0);
}

TEST(FindSurfels, ABallHasTheAreaOfASphere) {
  Volume<int32_t> image(grid({50, 50, 50}, {0.5, 0.5, 0.5}));
  draw_ball(image, {24.3, 24.6, 25.1}, 20, 7);
  const std::vector<int32_t> labels{7};
  const Surfels found = find_surfels(image, labels, 0, 51)[0];
  const double sphere = 4 * M_PI * 100;
  EXPECT_NEAR(sum(found.areas) / sphere, 1.09, 0.02);  // steps of voxels are rougher than the sphere
}

TEST(FindSurfels, ABlockAtTheBorderIsClosedBySurface) {
  Volume<int32_t> image(grid({4, 3, 2}, {1, 1, 1}), 2);
  const std::vector<int32_t> labels{2};
  const Surfels found = find_surfels(image, labels, 0, 3)[0];
  EXPECT_EQ(found.cubes.size(), size_t(5 * 4 * 3 - 3 * 2 * 1));  // all cubes but the inner ones
  const auto area = surfel_areas({1, 1, 1}, {true, true, true});
  const double corners = 8 * area[1], edges = 4 * (3 + 2 + 1) * area[3], faces = 2 * (3 * 2 + 3 * 1 + 2 * 1);
  EXPECT_NEAR(sum(found.areas), corners + edges + faces, 1e-12);
}

TEST(FindSurfels, LabelsOfOneWalkEqualLabelsAlone) {
  for (const Index3& size :
       {Index3{13, 11, 9}, Index3{13, 11, 1}, Index3{1, 11, 9}, Index3{13, 1, 9}, Index3{1, 1, 9}}) {
    const Volume<int32_t> image = random_labels(grid(size, {1, 0.9, 3}), 5, 11);
    const std::vector<int32_t> labels{1, 2, 3, 4, 5};
    const int64_t planes = size[2] > 1 ? size[2] + 1 : 1;
    const auto together = find_surfels(image, labels, 0, planes);
    for (size_t l = 0; l < labels.size(); ++l) {
      Volume<int32_t> alone = image;
      for (auto& v : alone.voxels) v = v == labels[l] ? 1 : 0;
      const std::vector<int32_t> one{1};
      const Surfels expected = find_surfels(alone, one, 0, planes)[0];
      EXPECT_EQ(together[l].cubes, expected.cubes);
      EXPECT_EQ(together[l].areas, expected.areas);
    }
  }
}

}  // namespace
}  // namespace mambaseg
