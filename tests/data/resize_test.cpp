#include "mambaseg/data/resize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

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

Volume<float> drawn(const Index3& size) {
  Geometry grid;
  grid.size = size;
  Volume<float> out(grid);
  std::mt19937 random(3);
  std::uniform_real_distribution<float> values(-1, 1);
  for (float& v : out.voxels) v = values(random);
  return out;
}

/// The part of a volume in a box.
Volume<float> part(const Volume<float>& volume, const Index3& start, const Index3& size) {
  Geometry grid;
  grid.size = size;
  Volume<float> out(grid);
  for (int64_t k = 0; k < size[2]; ++k)
    for (int64_t j = 0; j < size[1]; ++j)
      for (int64_t i = 0; i < size[0]; ++i)
        out.at(i, j, k) = volume.at(start[0] + i, start[1] + j, start[2] + k);
  return out;
}

TEST(Resize, EveryLineIsResizedAlike) {  // whole groups of lines and what is left, lines of zeros
  for (int axis = 0; axis < 3; ++axis)
    for (const int order : {1, 3}) {
      Index3 size{35, 18, 17}, to = size, one = size;
      to[axis] = 23;
      Volume<float> image = drawn(size);
      for (int64_t k = 0; k < size[2]; ++k)
        for (int64_t j = 0; j < size[1]; ++j)
          for (int64_t i = 0; i < size[0]; ++i) {
            const Index3 at{i, j, k};
            if (at[axis] < 2)
              image.at(i, j, k) = at[axis] == 0 ? -1 : 1;  // one range, to which cubic ones are clipped
            if (at[(axis + 1) % 3] >= 16) image.at(i, j, k) = 0;
          }
      const Volume<float> out = resized(image, to, order, std::nullopt);
      for (int other = 0; other < 3; ++other)
        if (other != axis) one[other] = 1;
      for (const int64_t a : {0, 15, 16, 17})
        for (const int64_t b : {0, 5, 16}) {
          Index3 start{};
          start[(axis + 1) % 3] = a == 17 && size[(axis + 1) % 3] == 17 ? 16 : a;
          start[(axis + 2) % 3] = b;
          Index3 one_to = one;
          one_to[axis] = to[axis];
          EXPECT_EQ(part(out, start, one_to).voxels,
                    resized(part(image, start, one), one_to, order, std::nullopt).voxels)
              << "axis " << axis << ", order " << order;
        }
    }
}

TEST(Resize, SlicesApartAreResizedAndClippedAsIfAlone) {
  for (int apart = 0; apart < 3; ++apart) {
    Index3 size{20, 21, 22}, to{31, 17, 40}, one = size, one_to = to;
    size[apart] = one[apart] = 3;
    to[apart] = 3;
    one[apart] = one_to[apart] = 1;
    Volume<float> image = drawn(size);
    for (int64_t k = 0; k < size[2]; ++k)
      for (int64_t j = 0; j < size[1]; ++j)
        for (int64_t i = 0; i < size[0]; ++i)
          image.at(i, j, k) += 100 * static_cast<float>(Index3{i, j, k}[apart]);
    const Volume<float> out = resized(image, to, 3, apart);
    for (int64_t slice = 0; slice < 3; ++slice) {
      Index3 start{};
      start[apart] = slice;
      EXPECT_EQ(part(out, start, one_to).voxels, resized(part(image, start, one), one_to, 3, apart).voxels)
          << "axis " << apart;
    }
    Index3 twice = to;
    twice[apart] = 6;
    const Volume<float> doubled = resized(image, twice, 3, apart);
    for (int64_t slice = 0; slice < 6; ++slice) {
      Index3 start{}, first{};
      start[apart] = slice;
      first[apart] = slice / 2;
      EXPECT_EQ(part(doubled, start, one_to).voxels, part(out, first, one_to).voxels);
    }
  }
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

template <class T>
void expect_votes_of_every_voxel(std::optional<int> separate) {
  const Index3 from{21, 7, 6}, to{34, 9, 4};
  Geometry grid;
  grid.size = from;
  Volume<T> labels(grid);
  std::mt19937 random(5);
  for (T& v : labels.voxels) v = random() % 4 == 0 ? static_cast<T>(random() % 3) : T{2};
  const Volume<T> out = resized_labels(labels, to, separate);
  std::array<AxisTaps, 3> taps;
  for (int axis = 0; axis < 3; ++axis)
    taps[size_t(axis)] = axis_taps(from[axis], to[axis], axis == separate ? 0 : 1);
  for (int64_t k = 0; k < to[2]; ++k)
    for (int64_t j = 0; j < to[1]; ++j)
      for (int64_t i = 0; i < to[0]; ++i) {
        std::map<T, double> shares;
        for (const Tap& z : taps[2][k])
          for (const Tap& y : taps[1][j])
            for (const Tap& x : taps[0][i])
              shares[labels.at(x.index, y.index, z.index)] += x.weight * y.weight * z.weight;
        T expected = 0;
        for (const auto& [label, share] : shares)
          if (share >= 0.5) expected = label;
        EXPECT_EQ(out.at(i, j, k), expected) << i << " " << j << " " << k;
      }
}

TEST(ResizeLabels, EveryVoxelHasItsVote) {
  expect_votes_of_every_voxel<uint8_t>({});
  expect_votes_of_every_voxel<int32_t>(2);
  expect_votes_of_every_voxel<int32_t>(0);
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
