#include "mambaseg/infer/small_components.h"

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

}  // namespace
}  // namespace mambaseg
