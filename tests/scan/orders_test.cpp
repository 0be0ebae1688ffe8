#include "mambaseg/scan/orders.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <set>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

const TokenGrid kGrids[] = {{1, 1, 1}, {4, 4, 4}, {5, 5, 5}, {3, 4, 5},
                            {5, 1, 2}, {1, 6, 4}, {1, 3, 7}, {2, 7, 3}};

void expect_permutation(const ScanOrder& order, int64_t tokens, const std::string& name) {
  ASSERT_EQ(static_cast<int64_t>(order.size()), tokens) << name;
  const std::set<int32_t> visited(order.begin(), order.end());
  EXPECT_EQ(static_cast<int64_t>(visited.size()), tokens) << name;
  EXPECT_EQ(*visited.begin(), 0) << name;
  EXPECT_EQ(*visited.rbegin(), tokens - 1) << name;
}

TEST(ScanOrders, EveryFamilyVisitsEveryTokenOnceAndItsInverseUndoesIt) {
  for (const ScanOrderFamily& family : scan_order_families()) {
    for (const TokenGrid& grid : kGrids) {
      if (family.planar && grid[0] != 1) continue;
      for (int orientation = 0; orientation < family.orientations; ++orientation) {
        const std::vector<ScanOrder> walks = family.make(grid, orientation);
        ASSERT_FALSE(walks.empty()) << family.name;
        for (const ScanOrder& walk : walks) {
          expect_permutation(walk, token_count(grid), family.name);
          const ScanOrder back = inverse(walk);
          for (size_t t = 0; t < walk.size(); ++t)
            ASSERT_EQ(back[walk[t]], static_cast<int32_t>(t)) << family.name;
        }
      }
    }
  }
}

uint32_t checksum(const ScanOrder& order) {
  return crc32(0, reinterpret_cast<const Bytef*>(order.data()), order.size() * sizeof(int32_t));
}

// The checksums of the official implementation's walks over 12 x 12 x 12 voxels, as little-endian int32.
TEST(SnakeOrders, EqualThe48WalksOfTheOfficialImplementation) {
  constexpr uint32_t expected[6][8] = {
      {0x7643ec41, 0x3b527e89, 0x8ad6dc20, 0x91056d45, 0x6e206cab, 0x1e755ee2, 0x63113735, 0x293ecd3f},
      {0x93aac8c2, 0x28447545, 0xb520db8d, 0x41e2ab5c, 0x1e086f52, 0xcf4d2830, 0x352995d6, 0x45ecc950},
      {0xb82ee486, 0x7c7e4fc5, 0xe759039c, 0x715a526e, 0xd47542b2, 0x0d77faed, 0x8bd6c430, 0x419130b7},
      {0x2cef643b, 0xd735c8bb, 0x5e2cba9c, 0x1c74cb74, 0xd7d2a69d, 0x67e9097e, 0xea9f0ac9, 0x5db1f8cd},
      {0xf38ef8ce, 0x2e1e33be, 0xdbc18e01, 0xf506089d, 0x1f2370ec, 0x933dff48, 0x2cd2bd20, 0x5fd22eec},
      {0x33f08b3d, 0xc4f3d550, 0x0dea9420, 0x61cfe324, 0xd6c45731, 0x138d4645, 0x93e5715e, 0x860a0a88}};
  for (int orientation = 0; orientation < 6; ++orientation) {
    const std::vector<ScanOrder> walks = snake_orders({12, 12, 12}, orientation);
    ASSERT_EQ(walks.size(), 8u);
    for (int k = 0; k < 8; ++k)
      EXPECT_EQ(checksum(walks[k]), expected[orientation][k]) << orientation << " " << k;
  }
}

TEST(SnakeOrders, EveryStepGoesToAFaceNeighbourOnAnyGrid) {
  for (const TokenGrid& grid : kGrids) {
    for (int orientation = 0; orientation < 6; ++orientation) {
      for (const ScanOrder& walk : snake_orders(grid, orientation)) {
        for (size_t t = 1; t < walk.size(); ++t) {
          int64_t a = walk[t - 1], b = walk[t], distance = 0;
          for (int axis = 2; axis >= 0; a /= grid[axis], b /= grid[axis], --axis) {
            distance += std::abs(a % grid[axis] - b % grid[axis]);
          }
          ASSERT_EQ(distance, 1) << orientation << " step " << t;
        }
      }
    }
  }
}

TEST(SnakeOrders, All48AreDistinctOnAnEvenCube) {
  std::set<ScanOrder> distinct;
  for (int orientation = 0; orientation < 6; ++orientation) {
    for (ScanOrder& walk : snake_orders({4, 4, 4}, orientation)) distinct.insert(std::move(walk));
  }
  EXPECT_EQ(distinct.size(), 48u);
}

TEST(SnakeOrders, OrientationRepeatsAfterSix) {
  EXPECT_EQ(snake_orders({2, 3, 4}, 7), snake_orders({2, 3, 4}, 1));
  EXPECT_THROW(snake_orders({2, 3, 4}, -1), Error);
}

TEST(SnakeOrders, SweepOfOrientationZeroStartsWithTheRaster) {
  EXPECT_EQ(snake_orders({3, 4, 5}, 0, BaseCurve::sweep).front(), raster_order(60));
  EXPECT_EQ(base_curve("sweep"), BaseCurve::sweep);
  EXPECT_EQ(base_curve("scan"), BaseCurve::snake);
  EXPECT_THROW(base_curve("hilbert"), UsageError);
}

TEST(AxisRasterOrders, FollowTheAxisOrdersAndTheirReversals) {
  const std::vector<ScanOrder> walks = axis_raster_orders({2, 2, 3});
  EXPECT_EQ(walks[0], raster_order(12));
  EXPECT_EQ(walks[1], (ScanOrder{0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11}));
  EXPECT_EQ(walks[2], (ScanOrder{0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11}));
  EXPECT_EQ(walks[3], (ScanOrder{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}));
  for (int k = 0; k < 4; ++k) EXPECT_EQ(walks[k + 4], reversed(walks[k]));
}

TEST(RotatedRasterOrders, TurnTheGrid) {
  EXPECT_EQ(rotated_raster_orders({1, 2, 3}, 0)[0], raster_order(6));
  // Orientation 3 starts at the last plane's first voxel and runs through the planes fastest.
  EXPECT_EQ(rotated_raster_orders({2, 2, 2}, 3)[0], (ScanOrder{4, 0, 6, 2, 5, 1, 7, 3}));
  EXPECT_EQ(rotated_raster_orders({2, 3, 4}, 9), rotated_raster_orders({2, 3, 4}, 1));
}

TEST(CrossOrders, AreRowsColumnsAndBothBackwards) {
  const std::vector<ScanOrder> walks = cross_orders({1, 2, 3});
  EXPECT_EQ(walks, (std::vector<ScanOrder>{
                       {0, 1, 2, 3, 4, 5}, {0, 3, 1, 4, 2, 5}, {5, 4, 3, 2, 1, 0}, {5, 2, 4, 1, 3, 0}}));
  EXPECT_THROW(cross_orders({2, 2, 3}), Error);
}

TEST(MirroredRowOrders, GoFromEachCornerToTheOppositeOne) {
  const std::vector<ScanOrder> walks = mirrored_row_orders({1, 2, 3});
  EXPECT_EQ(walks, (std::vector<ScanOrder>{
                       {0, 1, 2, 3, 4, 5}, {2, 1, 0, 5, 4, 3}, {5, 4, 3, 2, 1, 0}, {3, 4, 5, 0, 1, 2}}));
  EXPECT_THROW(mirrored_row_orders({2, 2, 3}), Error);
}

TEST(InterSliceOrder, TakesOneTokenOfEverySliceInTurn) {
  EXPECT_EQ(inter_slice_order(6, 2), (ScanOrder{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(inter_slice_order(6, 1), raster_order(6));
  EXPECT_THROW(inter_slice_order(6, 4), Error);
  EXPECT_THROW(inter_slice_order(6, 0), Error);
}

TEST(TokenCount, RefusesEmptyAndHugeGrids) {
  EXPECT_EQ(token_count({2, 3, 4}), 24);
  EXPECT_THROW(token_count({2, 0, 4}), Error);
  EXPECT_THROW(token_count({1 << 11, 1 << 10, 1 << 10}), Error);
}

}  // namespace
}  // namespace mambaseg
