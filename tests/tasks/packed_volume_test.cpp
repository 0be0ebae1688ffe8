#include "mambaseg/tasks/volumes/packed_volume.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mambaseg {
namespace {

const Box kInside{{1, 2, 3}, {17, 5, 16}}, kBeyond{{-2, 1, -1}, {24, 12, 21}};

/// Two channels of values(voxel) on a grid of 20 x 8 x 19.
template <class Values>
PreparedImage drawn(Values&& values) {
  PreparedImage out;
  out.image.geometry.size = {20, 8, 19};
  for (int64_t v = 0; v < out.image.geometry.voxel_count(); ++v) out.image.voxels.push_back(values(v));
  out.further = {out.image};
  for (float& v : out.further[0].voxels) v = v > 0 ? 0 : v;
  return out;
}

void expect_packed(const PreparedImage& image, torch::ScalarType type, double error) {
  for (const Box& box : {kInside, kBeyond}) {
    float scale = 0;
    const torch::Tensor packed = packed_image(image, box, scale),
                        expected = cut_box(image_tensor(image), box);
    EXPECT_EQ(packed.scalar_type(), type);
    EXPECT_TRUE(packed.is_contiguous());
    EXPECT_EQ(scale, type == torch::kUInt8 ? 1.0f / 255 : 1.0f);
    EXPECT_TRUE(torch::allclose(packed.to(torch::kFloat32) * scale, expected, error, 0));
  }
}

TEST(PackedImage, TakesTheSmallestTypeThatKeepsTheValues) {
  const auto bytes = [](int64_t v) { return static_cast<float>(v % 256) / 255; };
  const auto halves = [](int64_t v) { return std::sin(static_cast<float>(v)) * 900; };
  const auto floats = [](int64_t v) { return std::sin(static_cast<float>(v)) * 1100; };
  expect_packed(drawn(bytes), torch::kUInt8, 1e-7);
  expect_packed(drawn(halves), torch::kFloat16, std::ldexp(1, -11));
  expect_packed(drawn(floats), torch::kFloat32, 0);
}

TEST(PackedImage, OneValueThatNoByteHoldsIsEnough) {
  for (const float other : {0.1f, -1.0f / 255, 256.0f / 255, 3e9f}) {
    PreparedImage image = drawn([](int64_t v) { return static_cast<float>(v % 256) / 255; });
    image.image.at(0, 0, 0) = other;  // outside of the box
    float scale = 0;
    EXPECT_EQ(packed_image(image, kInside, scale).scalar_type(), torch::kUInt8) << other;
    image.image.at(17, 6, 18) = other;  // its last voxel
    EXPECT_NE(packed_image(image, kInside, scale).scalar_type(), torch::kUInt8) << other;
  }
}

TEST(PackedClasses, AreThoseOfTheBox) {
  Volume<uint8_t> classes;
  classes.geometry.size = {20, 8, 19};
  Volume<int32_t> same;
  same.geometry = classes.geometry;
  for (int64_t v = 0; v < classes.geometry.voxel_count(); ++v) {
    classes.voxels.push_back(static_cast<uint8_t>(v % 251));
    same.voxels.push_back(classes.voxels.back());
  }
  for (const Box& box : {kInside, kBeyond})
    EXPECT_TRUE(
        torch::equal(packed_classes(classes, box), cut_box(tensor_from_volume(same), box).to(torch::kUInt8)));
}

}  // namespace
}  // namespace mambaseg
