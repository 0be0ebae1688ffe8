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

TEST(DiagonalOrders, GoDownToTheLeftAndToTheRight) {
  const std::vector<ScanOrder> walks = diagonal_orders({1, 2, 3});
  EXPECT_EQ(walks[0], (ScanOrder{0, 1, 3, 2, 4, 5}));
  EXPECT_EQ(walks[1], (ScanOrder{2, 1, 5, 0, 4, 3}));
  EXPECT_EQ(walks[2], reversed(walks[0]));
  EXPECT_EQ(walks[3], reversed(walks[1]));
  EXPECT_THROW(diagonal_orders({2, 2, 3}), Error);
}

TEST(SpiralOrders, RunAlongTheBorderAndInwards) {
  const std::vector<ScanOrder> walks = spiral_orders({1, 3, 4});
  EXPECT_EQ(walks[0], (ScanOrder{0, 1, 2, 3, 7, 11, 10, 9, 8, 4, 5, 6}));
  EXPECT_EQ(walks[1], (ScanOrder{0, 4, 8, 9, 10, 11, 7, 3, 2, 1, 5, 6}));
  EXPECT_EQ(walks[2], reversed(walks[0]));
  EXPECT_THROW(spiral_orders({2, 3, 4}), Error);
}

TEST(WindowOrders, FinishAWindowBeforeTheNext) {
  const std::vector<ScanOrder> walks = window_orders({1, 3, 4}, 2);
  EXPECT_EQ(walks[0], (ScanOrder{0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(walks[1], (ScanOrder{0, 4, 1, 5, 8, 9, 2, 6, 3, 7, 10, 11}));
  EXPECT_EQ(window_orders({2, 3, 4}, 7)[0], raster_order(24));
  EXPECT_THROW(window_orders({1, 3, 4}, 0), Error);
}

TEST(ZOrders, TakeTheBitsOfThePlaceInTurn) {
  EXPECT_EQ(z_orders({1, 2, 4})[0], (ScanOrder{0, 1, 4, 5, 2, 3, 6, 7}));
  EXPECT_EQ(z_orders({1, 3, 3})[0], (ScanOrder{0, 1, 3, 4, 2, 5, 6, 7, 8}));
  EXPECT_EQ(z_orders({2, 2, 2})[0], raster_order(8));
  EXPECT_EQ(z_orders({1, 2, 4})[1], (ScanOrder{0, 4, 1, 5, 2, 6, 3, 7}));
}

/// How many axes the longest step of a walk moves along, and how far, all together.
int64_t longest_step(const ScanOrder& walk, TokenGrid grid) {
  int64_t longest = 0;
  for (size_t t = 1; t < walk.size(); ++t) {
    int64_t length = 0;
    for (int64_t axis = 0, behind = token_count(grid); axis < 3; ++axis) {
      behind /= grid[axis];
      length += std::abs(walk[t] / behind % grid[axis] - walk[t - 1] / behind % grid[axis]);
    }
    longest = std::max(longest, length);
  }
  return longest;
}

TEST(HilbertOrders, StepToNeighboursOnPowersOfTwo) {
  for (const TokenGrid& grid :
       {TokenGrid{1, 2, 2}, {1, 16, 16}, {1, 32, 32}, {2, 2, 2}, {8, 8, 8}, {16, 16, 16}, {8, 1, 8}})
    for (const ScanOrder& walk : hilbert_orders(grid)) {
      expect_permutation(walk, token_count(grid), "hilbert");
      EXPECT_EQ(longest_step(walk, grid), 1) << grid[0] << " " << grid[1] << " " << grid[2];
    }
}

TEST(HilbertOrders, StayWithinQuartersAndEighths) {
  const ScanOrder plane = hilbert_orders({1, 8, 8})[0], volume = hilbert_orders({4, 4, 4})[0];
  for (size_t part = 0; part < 4; ++part) {
    std::set<int32_t> quarters;
    for (size_t t = 16 * part; t < 16 * (part + 1); ++t)
      quarters.insert(plane[t] / 32 * 2 + plane[t] % 8 / 4);
    EXPECT_EQ(quarters.size(), 1u) << part;
  }
  for (size_t part = 0; part < 8; ++part) {
    std::set<int32_t> eighths;
    for (size_t t = 8 * part; t < 8 * (part + 1); ++t)
      eighths.insert(volume[t] / 32 * 4 + volume[t] % 16 / 8 * 2 + volume[t] % 4 / 2);
    EXPECT_EQ(eighths.size(), 1u) << part;
  }
}

TEST(NamedOrders, AreAFamilyInOneOfItsOrientations) {
  EXPECT_EQ(named_orders("snake:3").over({2, 3, 4}), snake_orders({2, 3, 4}, 3));
  EXPECT_EQ(named_orders("snake").over({2, 3, 4}), snake_orders({2, 3, 4}, 0));
  EXPECT_EQ(named_orders("cross").walks(), 4);
  EXPECT_EQ(named_orders("snake:5").walks(), 8);
}

TEST(NamedOrders, HaveAsManyWalksOnEveryGrid) {
  for (const ScanOrderFamily& family : scan_order_families())
    EXPECT_EQ(static_cast<int64_t>(family.make({1, 5, 4}, 0).size()), named_orders(family.name).walks())
        << family.name;
}

std::string refusal(const std::string& name) {
  try {
    named_orders(name);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "taken";
}

TEST(NamedOrders, SayWhatThereIs) {
  EXPECT_EQ(refusal("snake:6"), "scan order: expected an orientation of snake from 0 to 5, got snake:6");
  for (const char* name : {"snake:", "snake:-1", "snake:1x", "snake:99999999999", "cross:1"})
    EXPECT_NE(refusal(name).find("expected an orientation of"), std::string::npos) << name;
  for (const char* name : {"", ":", "snakes", "snake ", ":0"}) {
    const std::string said = refusal(name);
    EXPECT_NE(said.find("expected FAMILY or FAMILY:ORIENTATION with a family of raster, snake,"),
              std::string::npos)
        << said;
  }
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
