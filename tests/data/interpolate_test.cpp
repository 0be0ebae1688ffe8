#include "mambaseg/data/interpolate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

Volume<float> cube(const Index3& size) {
  Geometry g;
  g.size = size;
  Volume<float> out(g);
  for (size_t v = 0; v < out.voxels.size(); ++v) out.voxels[v] = float((v * 37 + 11) % 53);
  return out;
}

TEST(Sampler, EveryOrderReturnsVoxelsAtTheirCentres) {
  const auto volume = cube({4, 5, 3});
  for (const int order : {0, 1, 3}) {
    const Sampler sampler(volume, order);
    for (int64_t k = 0; k < 3; ++k)
      for (int64_t j = 0; j < 5; ++j)
        for (int64_t i = 0; i < 4; ++i)
          ASSERT_NEAR(sampler({double(i), double(j), double(k)}), volume.at(i, j, k), 1e-9) << order;
  }
  EXPECT_THROW(Sampler(volume, 2), Error);
}

TEST(Sampler, ValuesOfScipy) {
  // scipy.ndimage.map_coordinates([0, 10, 4, 7, 1], [[0.25, 1.5, 3.75, -0.1, 4.1]], order, mode="constant")
  Geometry g;
  g.size = {5, 1, 1};
  Volume<float> line(g);
  line.voxels = {0, 10, 4, 7, 1};
  const double cubic[] = {1.3892299107142858, 7.810267857142858, 1.864676339285717};
  const Sampler linear(line, 1), spline(line, 3), nearest(line, 0);
  EXPECT_NEAR(linear({0.25, 0, 0}), 2.5, 1e-12);
  EXPECT_NEAR(linear({3.75, 0, 0}), 2.5, 1e-12);
  EXPECT_NEAR(spline({0.25, 0, 0}), cubic[0], 1e-9);
  EXPECT_NEAR(spline({1.5, 0, 0}), cubic[1], 1e-9);
  EXPECT_NEAR(spline({3.75, 0, 0}), cubic[2], 1e-9);
  EXPECT_EQ(nearest({1.5, 0, 0}), 4);
  for (const Sampler* sampler : {&linear, &spline, &nearest}) {
    EXPECT_EQ((*sampler)({-0.1, 0, 0}), 0);
    EXPECT_EQ((*sampler)({4.1, 0, 0}), 0);
    EXPECT_EQ((*sampler)({1, 0.2, 0}), 0);
  }
}

TEST(VoxelMap, TurnedGridsGiveWholeNumbersInSpiteOfHeaderRounding) {
  Geometry a;
  a.size = {7, 8, 9};
  a.voxel_to_ras_mm.offset = {-31.27, 15.111, 8.3};
  Geometry b = permuted(a, permutation_between("RAS", "LIA"));
  for (double& x : b.voxel_to_ras_mm.offset) x = static_cast<float>(x);
  const Affine map = voxel_map(b, a);
  ASSERT_TRUE(is_index_map(map));
  EXPECT_EQ(map({0, 0, 0}), (Vector3{6, 0, 8}));
  b.voxel_to_ras_mm.offset[0] += 0.5;
  EXPECT_FALSE(is_index_map(voxel_map(b, a)));
}

TEST(ResampleLabels, KeepsHalfAVoxelBeyondTheCentres) {
  Geometry coarse, fine;
  coarse.size = {2, 2, 2};
  for (int axis = 0; axis < 3; ++axis) coarse.voxel_to_ras_mm.matrix[axis][axis] = 3;
  fine.size = {6, 6, 6};
  fine.voxel_to_ras_mm.offset = {-1, -1, -1};
  const auto out = resample_labels(Volume<int32_t>(coarse, 5), fine);
  for (const int32_t v : out.voxels) ASSERT_EQ(v, 5);
  fine.voxel_to_ras_mm.offset = {-2, -1, -1};
  EXPECT_EQ(resample_labels(Volume<int32_t>(coarse, 5), fine).at(0, 0, 0), 0);
}

}  // namespace
}  // namespace mambaseg
