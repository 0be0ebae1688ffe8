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

TEST(Mgh, NewerFilesHaveAnIntentAndUnsignedShorts) {
  TemporaryFolder folder;
  std::string bytes = mgh_bytes(1, 10, true);
  bytes[2] = 3;  // the intent, above the version
  put<uint16_t>(bytes, 284, 65000, true);
  write_bytes(folder / "a.mgh", bytes);
  EXPECT_EQ(std::get<std::vector<uint16_t>>(read_image(folder / "a.mgh").voxels)[0], 65000);
  bytes[3] = 2;
  write_bytes(folder / "a.mgh", bytes);
  EXPECT_THAT(error_of([&] { read_image(folder / "a.mgh"); }), HasSubstr("not an MGH file"));
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
  EXPECT_THAT(error_of([&] { read_image(folder_ / "b.mhd"); }),
              HasSubstr("its file with voxels, b.raw: there is no such file in"));
  write_bytes(folder_ / "b.raw", short_voxels(false));
  EXPECT_EQ(std::get<std::vector<int16_t>>(read_image(folder_ / "b.mhd").voxels)[11], 11);
}

TEST_F(MetaImage, VoxelsMayLieInSeveralFilesOrAsText) {
  const VoxelData expected = std::vector<int16_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  std::filesystem::create_directory(folder_ / "s");
  for (size_t k = 0; k < 2; ++k)
    write_bytes(folder_ / concat("s/", k + 1, ".raw"), "head" + short_voxels(false).substr(12 * k, 12));
  const auto read_header = [&](const std::string& more, const std::string& where) {
    return read(meta_header(more, where)).voxels;
  };
  EXPECT_EQ(read_header("HeaderSize = 4\n", "LIST\ns/1.raw\ns/2.raw"), expected);
  EXPECT_EQ(read_header("HeaderSize = -1\n", "LIST 2\ns/1.raw\ns/2.raw\n\n"), expected);
  EXPECT_EQ(read_header("HeaderSize = 4\n", "s/%d.raw 1 2 1"), expected);
  EXPECT_EQ(read_header("HeaderSize = 4\n", "s/%1d.raw 1 2"), expected);
  EXPECT_THAT(error_of([&] { read_header("HeaderSize = 4\n", "s/%d.raw 2 3 1"); }),
              HasSubstr("its file with voxels, 3.raw: there is no such file"));
  for (const char* yes : {"T", "t", "1", "TRUE"})
    EXPECT_EQ(read("NDims = 3\nDimSize = 2 3 2\nElementType = MET_SHORT\nBinaryData = " + std::string(yes) +
                   "\nElementDataFile = LOCAL\n" + short_voxels(false))
                  .voxels,
              expected)
        << yes;
  const std::string as_text = meta_header("BinaryData = False\n");
  EXPECT_EQ(read(as_text + "0 1 2 3 4 5\n6 7 8 9 10 11\n").voxels, expected);
  write_bytes(folder_ / "name with blanks.raw", short_voxels(false));
  EXPECT_EQ(read_header("", "name with blanks.raw"), expected);
}

TEST_F(MetaImage, SpacingsMayBeNegativeAndInMicrons) {
  const auto spacing = [&](const std::string& fields) {
    const Image image =
        read("NDims = 3\nDimSize = 2 3 2\nElementType = MET_SHORT\nTransformMatrix = 1 0 0 0 1 0 0 0 1\n" +
             fields + "ElementDataFile = Local\n" + short_voxels(false));
    return image.geometry.voxel_to_ras_mm;
  };
  EXPECT_EQ(spacing("ElementSpacing = 1 -2 3\nOrigin = 4 5 6\nCenterOfRotation = 7 8 9\n"),
            (Affine{{{{-1, 0, 0}, {0, 2, 0}, {0, 0, 3}}}, {-4, -5, 6}}));
  EXPECT_EQ(spacing("ElementSize = 1 2 3\nPosition = 4 5 6\nAnatomicalOrientation = LPI\n"),
            (Affine{{{{-1, 0, 0}, {0, -2, 0}, {0, 0, 3}}}, {-4, -5, 6}}));
  EXPECT_LE(
      difference(spacing("ElementSpacing = 1000 2000 3000\nOffset = 4000 5000 6000\nDistanceUnits = um\n"),
                 Affine{{{{-1, 0, 0}, {0, -2, 0}, {0, 0, 3}}}, {-4, -5, 6}}),
      1e-12);
  EXPECT_THAT(error_of([&] { spacing("ElementSpacing = 1 0 3\n"); }), HasSubstr("singular"));
}

TEST_F(MetaImage, RefusesWhatItDoesNotUnderstand) {
  const auto refusal = [&](const std::string& bytes) { return error_of([&] { read(bytes); }); };
  EXPECT_THAT(refusal(meta_header("ElementNumberOfChannels = 3\n")), HasSubstr("3 channels"));
  EXPECT_THAT(refusal(meta_header("", "LOCAL", "2 3")), HasSubstr("expected 3 numbers in \"DimSize = 2 3\""));
  EXPECT_THAT(refusal(meta_header("", "LOCAL", "2 0 3")), HasSubstr("no voxels"));
  EXPECT_THAT(refusal(meta_header("", "LIST")), HasSubstr("lists no file"));
  EXPECT_THAT(refusal(meta_header("Offset = 1 2 x\n")),
              HasSubstr("expected 3 numbers in \"Offset = 1 2 x\""));
  EXPECT_THAT(refusal("ObjectType = Tube\nNDims = 3\nElementDataFile = LOCAL\n"), HasSubstr("type Tube"));
  EXPECT_THAT(refusal("ObjectType = Image\nNDims = 3\n"), HasSubstr("header is cut off"));
  EXPECT_THAT(refusal(meta_header("CompressedData = True\n") + "no zlib stream"), HasSubstr("damaged"));
  EXPECT_THAT(refusal(meta_header("", "LOCAL", "9000 9000 9000")), HasSubstr("cut off"));
}

}  // namespace
}  // namespace mambaseg
