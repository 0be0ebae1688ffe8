#include "mambaseg/data/resize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

Volume<float> line(const std::vector<float>& values, int axis) {
  Geometry grid;
  grid.size = {1, 1, 1};
  grid.size[axis] = static_cast<int64_t>(values.size());
  Volume<float> out(grid);
  out.voxels = values;
  return out;
}

Index3 along(int axis, int64_t size) {
  Index3 out{1, 1, 1};
  out[axis] = size;
  return out;
}

TEST(Resize, LinearValuesLieBetweenVoxelCentresAndEdgesRepeat) {
  const std::vector<float> expected{0, 1, 3, 4};  // at -0.25, 0.25, 0.75, 1.25 of (0, 4)
  for (int axis = 0; axis < 3; ++axis)
    EXPECT_EQ(resized(line({0, 4}, axis), along(axis, 4), 1, std::nullopt).voxels, expected) << axis;
}

TEST(Resize, CubicKeepsConstantsAndNeverLeavesTheRange) {
  for (const float v : resized(line({7, 7, 7}, 1), along(1, 11), 3, std::nullopt).voxels)
    EXPECT_NEAR(v, 7, 1e-5);
  for (const float v : resized(line({0, 0, 9, 9, 0, 0}, 2), along(2, 23), 3, std::nullopt).voxels) {
    EXPECT_GE(v, 0);
    EXPECT_LE(v, 9);
  }
}

TEST(Resize, CubicFollowsASmoothCurve) {
  std::vector<float> wave;
  for (int i = 0; i < 40; ++i) wave.push_back(static_cast<float>(std::sin(0.3 * i)));
  const auto fine = resized(line(wave, 0), along(0, 100), 3, std::nullopt);
  // A cubic spline is off by h^4 max|f''''| / 384 * a small factor: 0.3^4 / 384 = 2e-5, away from the edges.
  for (int i = 20; i < 80; ++i) {
    const double expected = std::sin(0.3 * ((i + 0.5) * 0.4 - 0.5));
    if (std::abs(expected) < 0.98) {  // crests are clipped
      EXPECT_NEAR(fine.voxels[size_t(i)], expected, 1e-4);
    }
  }
}

TEST(Resize, SeparateSlicesAreNotMixed) {
  Geometry grid;
  grid.size = {2, 1, 2};
  Volume<float> image(grid);
  image.voxels = {0, 4, 100, 104};
  const auto out = resized(image, {4, 1, 4}, 1, 2);
  EXPECT_EQ(out.voxels, (std::vector<float>{0, 1, 3, 4, 0, 1, 3, 4, 100, 101, 103, 104, 100, 101, 103, 104}));
}

TEST(Resize, RefusesOtherOrders) { EXPECT_THROW(resized(line({1, 2}, 0), {4, 1, 1}, 2, {}), Error); }

TEST(ResizeLabels, TheLargestLabelThatReachesAHalfWins) {
  Geometry grid;
  grid.size = {3, 1, 1};
  Volume<int32_t> labels(grid);
  labels.voxels = {5, 2, 0};
  EXPECT_EQ(resized_labels(labels, {6, 1, 1}, {}).voxels, (std::vector<int32_t>{5, 5, 2, 2, 0, 0}));
  EXPECT_EQ(resized_labels(labels, {2, 1, 1}, {}).voxels,
            (std::vector<int32_t>{5, 0}));  // shares 3/4 of 5; of 0
  labels.voxels = {5, 2, 2};
  EXPECT_EQ(resized_labels(labels, {1, 1, 1}, {}).voxels, (std::vector<int32_t>{2}));
  labels.geometry.size = {2, 1, 1};
  labels.voxels = {1, 3};
  EXPECT_EQ(resized_labels(labels, {1, 1, 1}, {}).voxels, (std::vector<int32_t>{3}));  // a tie
}

TEST(ResizedGrid, CoversTheSameBox) {
  Geometry grid;
  grid.size = {10, 6, 4};
  grid.voxel_to_ras_mm.matrix = {{{0, -2, 0}, {1.5, 0, 0}, {0, 0, 3}}};
  grid.voxel_to_ras_mm.offset = {4, -9, 7};
  const Index3 size{15, 3, 4};
  const Geometry out = resized_grid(grid, size);
  for (const double share : {0.0, 0.3, 1.0}) {
    Vector3 before{}, after{};
    for (int axis = 0; axis < 3; ++axis) {
      before[axis] = share * static_cast<double>(grid.size[axis]) - 0.5;
      after[axis] = share * static_cast<double>(size[axis]) - 0.5;
    }
    const Vector3 a = grid.voxel_to_ras_mm(before), b = out.voxel_to_ras_mm(after);
    for (int row = 0; row < 3; ++row) EXPECT_NEAR(a[row], b[row], 1e-12);
  }
}

TEST(ResizedSize, RoundsHalfToEven) {
  EXPECT_EQ(resized_size({5, 7, 1}, {1, 1, 1}, {2, 2, 9}), (Index3{2, 4, 1}));
}

TEST(SeparateAxis, OnlyWhereOneSpacingStandsOut) {
  EXPECT_EQ(separate_axis({5, 1, 1}, {1, 1, 1}), 0);
  EXPECT_EQ(separate_axis({1, 1, 1}, {1, 1, 3.5}), 2);
  EXPECT_EQ(separate_axis({3, 1, 1}, {1, 1, 1}), std::nullopt);
  EXPECT_EQ(separate_axis({0.2, 1, 1}, {5, 1, 1}), std::nullopt);  // two slow axes: the first grid decides
}

}  // namespace
}  // namespace mambaseg
