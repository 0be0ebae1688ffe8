#include "mambaseg/core/geometry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mambaseg/core/error.h"
#include "mambaseg/core/volume.h"

namespace mambaseg {
namespace {

Geometry oblique() {
  Geometry g;
  g.size = {5, 7, 3};
  const double c = std::cos(0.3), s = std::sin(0.3);
  g.voxel_to_ras_mm.matrix = {{{-2 * c, 0.5 * s, 0}, {2 * s, 0.5 * c, 0}, {0, 0, 3}}};
  g.voxel_to_ras_mm.offset = {10, -20, 30};
  return g;
}

TEST(Geometry, SpacingVolumeAndOrientation) {
  const Geometry g = oblique();
  EXPECT_NEAR(g.spacing_mm()[0], 2, 1e-12);
  EXPECT_NEAR(g.spacing_mm()[1], 0.5, 1e-12);
  EXPECT_NEAR(g.spacing_mm()[2], 3, 1e-12);
  EXPECT_NEAR(g.voxel_volume_mm3(), 3, 1e-12);
  EXPECT_EQ(g.orientation(), "LAS");
}

TEST(Affine, InverseUndoes) {
  const Affine a = oblique().voxel_to_ras_mm;
  const Affine both = compose(a, a.inverse());
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(both.offset[i], 0, 1e-12);
    for (int j = 0; j < 3; ++j) EXPECT_NEAR(both.matrix[i][j], i == j, 1e-12);
  }
  Affine flat;
  flat.matrix[1] = {0, 0, 0};
  EXPECT_THROW(flat.inverse(), Error);
}

TEST(Permutation, AllFortyEightOrientationsKeepVoxelsAtTheirPlaces) {
  Volume<int> volume(oblique());
  std::iota(volume.voxels.begin(), volume.voxels.end(), 0);
  std::string axes = "RAS";
  int tried = 0;
  std::array<int, 3> order{0, 1, 2};
  do {
    for (int flips = 0; flips < 8; ++flips) {
      const char* pairs[3] = {"LR", "PA", "IS"};
      std::string to;
      for (int a = 0; a < 3; ++a) to += pairs[order[a]][flips >> a & 1];
      const Volume<int> out = permuted(volume, permutation_between(volume.geometry.orientation(), to));
      EXPECT_EQ(out.geometry.orientation(), to);
      const Affine back = compose(volume.geometry.voxel_to_ras_mm.inverse(), out.geometry.voxel_to_ras_mm);
      for (int64_t k = 0; k < out.geometry.size[2]; ++k)
        for (int64_t j = 0; j < out.geometry.size[1]; ++j)
          for (int64_t i = 0; i < out.geometry.size[0]; ++i) {
            const Vector3 v = back({double(i), double(j), double(k)});
            ASSERT_EQ(out.at(i, j, k), volume.at(std::lround(v[0]), std::lround(v[1]), std::lround(v[2])))
                << to;
          }
      ++tried;
    }
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(tried, 48);
}

TEST(Permutation, RefusesWordsThatAreNoOrientation) {
  EXPECT_THROW(permutation_between("RAS", "RAX"), Error);
  EXPECT_THROW(permutation_between("RAS", "RLS"), Error);
  EXPECT_THROW(permutation_between("RAS", "RA"), Error);
}

TEST(SameGrid, SeesASmallShiftAndAnotherSize) {
  const Geometry a = oblique();
  Geometry b = a;
  EXPECT_TRUE(same_grid(a, b));
  b.voxel_to_ras_mm.offset[1] += 0.01;
  EXPECT_FALSE(same_grid(a, b));
  EXPECT_TRUE(same_grid(a, b, 0.1));
  b = a;
  b.size[2] = 4;
  EXPECT_FALSE(same_grid(a, b));
}

}  // namespace
}  // namespace mambaseg
