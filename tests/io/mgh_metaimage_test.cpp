// MGH and MetaImage headers written by hand.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/io/image.h"
#include "tests/io/byte_writer.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string mgh_bytes(int32_t frames, int32_t type, bool with_geometry) {
  std::string bytes(284, '\0');
  const int32_t numbers[7] = {1, 2, 3, 4, frames, type, 0};
  for (size_t i = 0; i < 7; ++i) put(bytes, 4 * i, numbers[i], true);
  put<int16_t>(bytes, 28, with_geometry, true);
  // conformed FreeSurfer axes: i to the left, j down, k to the front; 1 x 2 x 3 mm; centre (10, 20, 30)
  const float geometry[15] = {1, 2, 3, -1, 0, 0, 0, 0, -1, 0, 1, 0, 10, 20, 30};
  for (size_t i = 0; i < 15; ++i) put(bytes, 30 + 4 * i, geometry[i], true);
  for (size_t i = 0; i < 24; ++i) put(bytes, 284 + 2 * i, static_cast<int16_t>(i * 300), true);
  return bytes + "tags that nobody reads";
}

TEST(Mgh, TheCentreIsAtHalfTheSize) {
  TemporaryFolder folder;
  write_bytes(folder / "a.mgh", mgh_bytes(1, 4, true));
  const Image image = read_image(folder / "a.mgh");
  EXPECT_EQ(image.geometry.orientation(), "LIA");
  EXPECT_EQ(image.geometry.spacing_mm(), (Vector3{1, 2, 3}));
  EXPECT_EQ(image.geometry.voxel_to_ras_mm({1, 1.5, 2}), (Vector3{10, 20, 30}));
  EXPECT_EQ(std::get<std::vector<int16_t>>(image.voxels)[23], 6900);
}

TEST(Mgh, WithoutGeometryFreeSurfersDefaultCounts) {
  TemporaryFolder folder;
  write_bytes(folder / "a.mgh", mgh_bytes(1, 4, false));
  std::vector<std::string> warnings;
  const Geometry g =
      read_geometry(folder / "a.mgh", [&](const std::string& line) { warnings.push_back(line); });
  EXPECT_EQ(g.orientation(), "LIA");
  EXPECT_EQ(g.spacing_mm(), (Vector3{1, 1, 1}));
  EXPECT_EQ(g.voxel_to_ras_mm({1, 1.5, 2}), (Vector3{0, 0, 0}));
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("nothing about orientation")));
}

TEST(Mgh, RefusesFramesAndOtherTypes) {
  TemporaryFolder folder;
  write_bytes(folder / "a.mgh", mgh_bytes(2, 4, true));
  EXPECT_THAT(error_of([&] { read_image(folder / "a.mgh"); }), HasSubstr("4-D (2x3x4x2)"));
  write_bytes(folder / "a.mgh", mgh_bytes(1, 6, true));
  EXPECT_THAT(error_of([&] { read_image(folder / "a.mgh"); }), HasSubstr("MGH type 6"));
  write_bytes(folder / "a.mgh", mgh_bytes(0, 4, true));
  EXPECT_THAT(error_of([&] { read_image(folder / "a.mgh"); }), HasSubstr("no voxels"));
}

std::string meta_header(const std::string& more, const std::string& where = "LOCAL",
                        const std::string& size = "2 3 2") {
  return "ObjectType = Image\nNDims = 3\nBinaryData = True\n" + more +
         "ElementSpacing = 1 2 3\nDimSize = " + size +
         "\nElementType = MET_SHORT\nElementDataFile = " + where + "\n";
}

std::string short_voxels(bool big) {
  std::string bytes;
  for (size_t i = 0; i < 12; ++i) put(bytes, 2 * i, static_cast<int16_t>(i), big);
  return bytes;
}

class MetaImage : public testing::Test {
 protected:
  Image read(const std::string& bytes) {
    write_bytes(folder_ / "a.mha", bytes);
    return read_image(folder_ / "a.mha");
  }
  TemporaryFolder folder_;
};

TEST_F(MetaImage, EachRowOfTheMatrixIsAnAxisInLps) {
  const Image image =
      read(meta_header("TransformMatrix = 0 1 0 0 0 -1 1 0 0\nOffset = 10 20 30\n") + short_voxels(false));
  EXPECT_EQ(image.geometry.orientation(), "PIL");
  EXPECT_EQ(image.geometry.voxel_to_ras_mm.matrix,
            (std::array<Vector3, 3>{{{0, 0, -3}, {-1, 0, 0}, {0, -2, 0}}}));
  EXPECT_EQ(image.geometry.voxel_to_ras_mm.offset, (Vector3{-10, -20, 30}));
  EXPECT_EQ(std::get<std::vector<int16_t>>(image.voxels)[11], 11);
}

TEST_F(MetaImage, BothByteOrdersAndADetachedFile) {
  const std::string matrix = "TransformMatrix = 1 0 0 0 1 0 0 0 1\n";
  EXPECT_EQ(
      std::get<std::vector<int16_t>>(
          read(meta_header(matrix + "BinaryDataByteOrderMSB = True\n") + short_voxels(true)).voxels)[11],
      11);
  write_bytes(folder_ / "b.mhd", meta_header(matrix, "b.raw"));
  EXPECT_THAT(error_of([&] { read_image(folder_ / "b.mhd"); }), HasSubstr("b.raw, is missing"));
  write_bytes(folder_ / "b.raw", short_voxels(false));
  EXPECT_EQ(std::get<std::vector<int16_t>>(read_image(folder_ / "b.mhd").voxels)[11], 11);
}

TEST_F(MetaImage, RefusesWhatItDoesNotUnderstand) {
  const auto refusal = [&](const std::string& bytes) { return error_of([&] { read(bytes); }); };
  EXPECT_THAT(refusal(meta_header("ElementNumberOfChannels = 3\n")), HasSubstr("3 channels"));
  EXPECT_THAT(refusal(meta_header("", "LOCAL", "2 3")), HasSubstr("expected 3 numbers in \"DimSize = 2 3\""));
  EXPECT_THAT(refusal(meta_header("", "LOCAL", "2 0 3")), HasSubstr("no voxels"));
  EXPECT_THAT(refusal(meta_header("", "LIST")), HasSubstr("LIST, is missing"));
  EXPECT_THAT(refusal(meta_header("Offset = 1 2 x\n")),
              HasSubstr("expected 3 numbers in \"Offset = 1 2 x\""));
  EXPECT_THAT(refusal("ObjectType = Image\nNDims = 3\n"), HasSubstr("header is cut off"));
  EXPECT_THAT(refusal(meta_header("CompressedData = True\n") + "no zlib stream"), HasSubstr("damaged"));
  EXPECT_THAT(refusal(meta_header("", "LOCAL", "9000 9000 9000")), HasSubstr("cut off"));
}

}  // namespace
}  // namespace mambaseg
