#include "mambaseg/data/tensor_volume.h"

#include <gtest/gtest.h>

#include <numeric>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

Geometry grid(Index3 size) {
  Geometry g;
  g.size = size;
  return g;
}

TEST(TensorVolume, IndexIjkMeansTheSameVoxelOnBothSides) {
  Volume<int32_t> volume(grid({3, 4, 5}));
  std::iota(volume.voxels.begin(), volume.voxels.end(), 7);
  const auto tensor = tensor_from_volume(volume);
  ASSERT_EQ(tensor.sizes(), (std::vector<int64_t>{3, 4, 5}));
  EXPECT_EQ(tensor.scalar_type(), torch::kInt64);
  EXPECT_TRUE(tensor.is_contiguous());
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j)
      for (int k = 0; k < 5; ++k) ASSERT_EQ(tensor[i][j][k].item<int64_t>(), volume.at(i, j, k));
  EXPECT_EQ(labels_from_tensor(tensor, volume.geometry).voxels, volume.voxels);
}

TEST(TensorVolume, FloatsComeBackUnchanged) {
  Volume<float> volume(grid({2, 1, 3}));
  std::iota(volume.voxels.begin(), volume.voxels.end(), 0.5F);
  EXPECT_EQ(volume_from_tensor(tensor_from_volume(volume), volume.geometry).voxels, volume.voxels);
}

TEST(TensorVolume, RefusesAnotherSize) {
  EXPECT_THROW(labels_from_tensor(torch::zeros({3, 4, 5}, torch::kInt64), grid({5, 4, 3})), Error);
}

}  // namespace
}  // namespace mambaseg
