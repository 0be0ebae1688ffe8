#include "mambaseg/data/crop.h"

#include <gtest/gtest.h>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

const Index3 kPatch{96, 96, 96};

Volume<float> image_with(Index3 size, const Box& box) {
  Geometry g;
  g.size = size;
  Volume<float> out(g);
  for (int64_t k = box.start[2]; k < box.end(2); ++k)
    for (int64_t j = box.start[1]; j < box.end(1); ++j)
      for (int64_t i = box.start[0]; i < box.end(0); ++i) out.at(i, j, k) = 1;
  return out;
}

TEST(NonzeroBox, FindsFirstAndLast) {
  const Box box{{2, 0, 5}, {3, 7, 1}};
  EXPECT_EQ(nonzero_box(image_with({9, 7, 6}, box)), box);
  EXPECT_FALSE(nonzero_box(image_with({9, 7, 6}, {})).has_value());
}

// Spec 1.9 pitfall (c): empty slices inside the head must stay, or labels come back shifted.
TEST(NonzeroBox, PitfallCKeepsEmptySlicesInside) {
  auto image = image_with({12, 12, 12}, {{1, 1, 1}, {2, 10, 10}});
  image.at(9, 4, 4) = 3;
  EXPECT_EQ(nonzero_box(image), (Box{{1, 1, 1}, {9, 10, 10}}));
}

TEST(NonzeroBox, NegativeValuesCount) {
  auto image = image_with({4, 4, 4}, {});
  image.at(2, 3, 1) = -1;
  EXPECT_EQ(nonzero_box(image), (Box{{2, 3, 1}, {1, 1, 1}}));
}

// Spec 1.9 pitfall (d): a small brain gets at least one patch.
TEST(Widening, PitfallDSmallBrainGetsOnePatch) {
  for (const int64_t step : {1, 7, 16, 32, 96})
    for (const int64_t size : {1, 20, 63, 64, 65, 95, 96}) {
      const Box out = widened_for_patches({{5, 5, 5}, {size, size, size}}, kPatch, step);
      EXPECT_EQ(out.size, kPatch);
      EXPECT_LE(out.start[0], 5);
      EXPECT_GE(out.end(0), 5 + size);
      EXPECT_EQ(patch_starts(out.size, kPatch, step).size(), 1U);
    }
}

// Spec 1.9 pitfall (e): a box that fits gets no extra step.
TEST(Widening, PitfallEAlignedBoxStays) {
  for (const int64_t size : {96, 128, 160}) {
    const Box box{{3, 4, 5}, {size, size, size}};
    EXPECT_EQ(widened_for_patches(box, kPatch, 32), box);
  }
}

TEST(Widening, PatchesCoverEveryVoxelAtAnyStep) {
  for (const int64_t step : {1, 3, 5, 8})
    for (int64_t size = 1; size < 40; ++size) {
      const Box out = widened_for_patches({{0, 0, 0}, {size, 8, 8}}, {8, 8, 8}, step);
      const auto starts = patch_positions(out.size[0], 8, step);
      ASSERT_FALSE(starts.empty());
      EXPECT_EQ(starts.back() + 8, out.size[0]);
      EXPECT_LT(out.size[0] - std::max<int64_t>(size, 8), step);
    }
}

TEST(Patches, OfficialOrderFirstAxisFastest) {
  const std::vector<Index3> expected{{0, 0, 0}, {32, 0, 0}, {0, 32, 0}, {32, 32, 0}, {0, 64, 0}, {32, 64, 0}};
  EXPECT_EQ(patch_starts({128, 160, 96}, kPatch, 32), expected);
  EXPECT_TRUE(patch_starts({95, 200, 200}, kPatch, 32).empty());
  EXPECT_THROW(patch_positions(10, 4, 0), Error);
}

TEST(RegionBox, CentredAsTheOfficialCodeWhereItFits) {
  // extent 82 on axis 0: 14 missing voxels, 7 before
  const Box out = region_box({{20, 30, 40}, {82, 95, 96}}, kPatch, 16, {150, 160, 170});
  EXPECT_EQ(out, (Box{{13, 30, 40}, kPatch}));
}

// Spec 1.9 pitfall (h): near a border the box moves inwards instead of wrapping or shrinking.
TEST(RegionBox, PitfallHStaysInsideAndCovers) {
  const Index3 grid{110, 112, 104};
  for (const Box& box :
       {Box{{2, 50, 50}, {26, 10, 10}}, Box{{100, 42, 45}, {10, 18, 15}}, Box{{2, 40, 42}, {108, 18, 18}}}) {
    const Box out = region_box(box, kPatch, 7, grid);
    for (int axis = 0; axis < 3; ++axis) {
      EXPECT_GE(out.size[axis], 96);
      EXPECT_EQ((out.size[axis] - 96) % 7, 0);
      EXPECT_LE(out.start[axis], box.start[axis]);
      EXPECT_GE(out.end(axis), box.end(axis));
      if (out.size[axis] <= grid[axis]) {
        EXPECT_GE(out.start[axis], 0);
        EXPECT_LE(out.end(axis), grid[axis]);
      }
    }
  }
}

TEST(RegionBox, GridSmallerThanThePatch) {
  const Box out = region_box({{3, 3, 3}, {2, 2, 2}}, kPatch, 16, {50, 60, 70});
  EXPECT_EQ(out, (Box{{-23, -18, -13}, kPatch}));
}

TEST(CutAndPaste, OutsideIsZeroAndComesBack) {
  const auto image = torch::arange(1, 61).reshape({3, 4, 5});
  const Box box{{-1, 2, -3}, {5, 4, 9}};
  const auto cut = cut_box(image, box);
  EXPECT_EQ(cut.sizes(), (std::vector<int64_t>{5, 4, 9}));
  EXPECT_EQ(cut[0].abs().sum().item<int64_t>(), 0);
  EXPECT_EQ(cut[1][0][3].item<int64_t>(), image[0][2][0].item<int64_t>());
  auto back = torch::zeros_like(image);
  paste_box(back, cut, box);
  EXPECT_TRUE(back.narrow(1, 2, 2).equal(image.narrow(1, 2, 2)));
  EXPECT_EQ(back.narrow(1, 0, 2).sum().item<int64_t>(), 0);
  EXPECT_EQ(cut_box(image, {{7, 0, 0}, {2, 2, 2}}).sum().item<int64_t>(), 0);
  paste_box(back, torch::ones({2, 2, 2}), {{0, -9, 0}, {2, 2, 2}});
  EXPECT_TRUE(back.narrow(1, 2, 2).equal(image.narrow(1, 2, 2)));
}

TEST(LabelBox, FindsListedLabelsOnly) {
  Geometry g;
  g.size = {6, 6, 6};
  Volume<int32_t> labels(g);
  labels.at(1, 2, 3) = 17;
  labels.at(4, 2, 3) = 53;
  labels.at(0, 0, 0) = 18;
  EXPECT_EQ(label_box(labels, {17, 53}), (Box{{1, 2, 3}, {4, 1, 1}}));
  EXPECT_FALSE(label_box(labels, {99}).has_value());
}

TEST(SpreadPositions, AreEvenAndNeverFurtherApartThanAsked) {
  EXPECT_EQ(spread_positions(110, 64, 0.5), (std::vector<int64_t>{0, 23, 46}));
  EXPECT_EQ(spread_positions(96, 96, 0.5), std::vector<int64_t>{0});
  for (int64_t size = 32; size < 200; size += 7) {
    const auto starts = spread_positions(size, 32, 0.5);
    EXPECT_EQ(starts.front(), 0);
    EXPECT_EQ(starts.back(), size - 32);
    for (size_t i = 1; i < starts.size(); ++i) EXPECT_LE(starts[i] - starts[i - 1], 17);  // 16, rounded
  }
  EXPECT_THROW(spread_positions(31, 32, 0.5), Error);
  EXPECT_THROW(spread_positions(64, 32, 0), Error);
}

}  // namespace
}  // namespace mambaseg
