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

TEST(TensorVolume, SlicesOfABoxThatReachesBeyondTheVolume) {
  Volume<float> volume(grid({20, 6, 35}));
  std::iota(volume.voxels.begin(), volume.voxels.end(), 1.0F);
  for (const Box& box :
       {Box{{2, 1, 3}, {7, 4, 30}}, Box{{-3, -2, -1}, {25, 10, 38}}, Box{{4, 7, 0}, {3, 2, 5}}}) {
    const torch::Tensor expected = cut_box(tensor_from_volume(volume), box);
    torch::Tensor out = torch::zeros(expected.sizes());
    for (int64_t j = 0; j < box.size[1]; ++j)
      copy_slice(volume, box, j, out.data_ptr<float>() + j * out.stride(1), out.stride(0));
    EXPECT_TRUE(torch::equal(out, expected));
  }
}

TEST(TensorVolume, RefusesAnotherSize) {
  EXPECT_THROW(labels_from_tensor(torch::zeros({3, 4, 5}, torch::kInt64), grid({5, 4, 3})), Error);
}

}  // namespace
}  // namespace mambaseg
