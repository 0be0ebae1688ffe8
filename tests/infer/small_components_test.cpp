#include "mambaseg/infer/small_components.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace mambaseg {
namespace {

TEST(SmallComponents, GoByVolumeAndByLabel) {
  Geometry geometry;
  geometry.size = {6, 5, 4};
  geometry.voxel_to_ras_mm.matrix = {{{2, 0, 0}, {0, 1, 0}, {0, 0, 1}}};  // 2 mm3
  Volume<int32_t> labels(geometry);
  labels.at(0, 0, 0) = 1;
  labels.at(1, 1, 1) = 1;  // touches at a corner: 4 mm3 together
  labels.at(5, 4, 3) = 1;  // 2 mm3
  labels.at(2, 2, 2) = 7;  // touches label 1, but is another
  Volume<int32_t> kept = labels;
  EXPECT_EQ(remove_small_components(kept, 2), 0);
  EXPECT_EQ(kept.voxels, labels.voxels);
  EXPECT_EQ(remove_small_components(kept, 3), 2);
  labels.at(5, 4, 3) = labels.at(2, 2, 2) = 0;
  EXPECT_EQ(kept.voxels, labels.voxels);
}

TEST(SmallComponents, StraysAreNotLookedAt) {
  Geometry geometry;
  geometry.size = {20, 4, 4};
  Volume<int32_t> labels(geometry);
  for (int64_t i = 0; i < 10; ++i) labels.at(i, 1, 1) = i < 5 ? 17 : 10;  // one component of 10
  labels.at(14, 1, 1) = 53;                                               // as large as 0.1 of it
  labels.at(18, 3, 3) = 5;                                                // not wanted
  const Volume<int32_t> all = without_strays(labels, {10, 17, 53}, 0.1);
  EXPECT_EQ(std::count(all.voxels.begin(), all.voxels.end(), 1), 11);
  EXPECT_EQ(all.at(18, 3, 3), 0);
  const Volume<int32_t> large = without_strays(labels, {10, 17, 53}, 0.11);
  EXPECT_EQ(std::count(large.voxels.begin(), large.voxels.end(), 1), 10);
  EXPECT_EQ(large.at(14, 1, 1), 0);
  EXPECT_EQ(without_strays(labels, {99}, 0.1).voxels, std::vector<int32_t>(labels.voxels.size(), 0));
}

}  // namespace
}  // namespace mambaseg
