// DICOM files put together element by element (explicit little endian).

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

/// A slice of 3 columns and 2 rows, values 0 to 5 plus 10 * `number`.
struct SliceFile {
  int number = 0;
  std::string series = "1.2.3.4";
  std::string position = "10\\20\\30";
  std::string directions = "1\\0\\0\\0\\1\\0";
  std::string slope, intercept;
  std::string thickness = "4";
  std::string spacing_between;

  std::string bytes() const {
    const std::string instance = "1.2.3.5." + std::to_string(number + 1);
    std::string meta;
    element(meta, 2, 0x10, "UI", "1.2.840.10008.1.2.1");
    std::string out(128, '\0');
    out += "DICM";
    std::string length;
    put(length, 0, static_cast<uint32_t>(meta.size()), false);
    element(out, 2, 0, "UL", length);
    out += meta;
    element(out, 0x8, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.4");
    element(out, 0x8, 0x18, "UI", instance);
    element(out, 0x8, 0x60, "CS", "MR");
    element(out, 0x18, 0x50, "DS", thickness);
    if (!spacing_between.empty()) element(out, 0x18, 0x88, "DS", spacing_between);
    element(out, 0x20, 0xd, "UI", "1.2.3");
    element(out, 0x20, 0xe, "UI", series);
    element(out, 0x20, 0x11, "IS", "1");
    element(out, 0x20, 0x13, "IS", std::to_string(number + 1));
    element(out, 0x20, 0x32, "DS", position);
    element(out, 0x20, 0x37, "DS", directions);
    number_element(out, 0x28, 0x2, 1);
    element(out, 0x28, 0x4, "CS", "MONOCHROME2");
    number_element(out, 0x28, 0x10, 2);
    number_element(out, 0x28, 0x11, 3);
    element(out, 0x28, 0x30, "DS", "2\\0.5");  // between rows, between columns
    number_element(out, 0x28, 0x100, 16);
    number_element(out, 0x28, 0x101, 16);
    number_element(out, 0x28, 0x102, 15);
    number_element(out, 0x28, 0x103, 1);
    if (!intercept.empty()) element(out, 0x28, 0x1052, "DS", intercept);
    if (!slope.empty()) element(out, 0x28, 0x1053, "DS", slope);
    std::string pixels;
    for (size_t i = 0; i < 6; ++i)
      put(pixels, 2 * i, static_cast<int16_t>(10 * number + static_cast<int>(i)), false);
    element(out, 0x7fe0, 0x10, "OW", pixels);
    return out;
  }

 private:
  static void element(std::string& out, int group, int tag, const std::string& type, std::string value) {
    if (value.size() % 2 == 1) value += type == "UI" ? '\0' : ' ';
    put(out, out.size(), static_cast<uint16_t>(group), false);
    put(out, out.size(), static_cast<uint16_t>(tag), false);
    out += type;
    if (type == "OW") {
      out += std::string(2, '\0');
      put(out, out.size(), static_cast<uint32_t>(value.size()), false);
    } else {
      put(out, out.size(), static_cast<uint16_t>(value.size()), false);
    }
    out += value;
  }
  static void number_element(std::string& out, int group, int tag, int number) {
    std::string value;
    put(value, 0, static_cast<uint16_t>(number), false);
    element(out, group, tag, "US", value);
  }
};

class Dicom : public testing::Test {
 protected:
  /// Writes slices at these heights, in this order and under names that do not tell it.
  void write_slices(const std::vector<std::string>& heights) {
    const char* names[] = {"c", "a", "e", "b", "d"};
    for (size_t i = 0; i < heights.size(); ++i) {
      SliceFile slice;
      slice.number = static_cast<int>(i);
      slice.position = "10\\20\\" + heights[i];
      write_bytes(folder_ / names[i], slice.bytes());
    }
  }
  Image read() {
    warnings_.clear();
    return read_image(folder_.string(), [this](const std::string& line) { warnings_.push_back(line); });
  }
  std::string refusal() {
    return error_of([this] { read(); });
  }
  TemporaryFolder folder_;
  std::vector<std::string> warnings_;
};

TEST_F(Dicom, SlicesAreSortedByTheirPlace) {
  write_slices({"36", "30", "33"});
  write_bytes(folder_ / "README.txt", "not a slice");
  const Image image = read();
  EXPECT_EQ(image.geometry.size, (Index3{3, 2, 3}));
  EXPECT_LE(difference(image.geometry.voxel_to_ras_mm,
                       Affine{{{{-0.5, 0, 0}, {0, -2, 0}, {0, 0, 3}}}, {-10, -20, 30}}),
            1e-12);
  EXPECT_EQ(image.voxels, VoxelData(std::vector<int16_t>{10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25, 0, 1,
                                                         2, 3, 4, 5}));
  EXPECT_THAT(warnings_, testing::IsEmpty());
  EXPECT_EQ(read_geometry(folder_.string()), image.geometry);
}

TEST_F(Dicom, UnevenSlicesAreRefusedOrTold) {
  write_slices({"30", "33", "39"});
  EXPECT_THAT(refusal(), HasSubstr("not evenly spaced"));
  write_slices({"30", "33.1", "36"});
  read();
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("not quite evenly spaced")));
  write_slices({"30", "33", "33"});
  EXPECT_THAT(refusal(), HasSubstr("more than one volume"));
}

TEST_F(Dicom, ATiltedGantryKeepsItsShear) {
  for (int i = 0; i < 3; ++i) {
    SliceFile slice;
    slice.number = i;
    slice.position = "10\\" + std::to_string(20 + i) + "\\" + std::to_string(30 + 3 * i);
    write_bytes(folder_ / std::to_string(i), slice.bytes());
  }
  EXPECT_LE(difference(read().geometry.voxel_to_ras_mm,
                       Affine{{{{-0.5, 0, 0}, {0, -2, -1}, {0, 0, 3}}}, {-10, -20, 30}}),
            1e-12);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("not orthogonal (off by 18.4")));
}

TEST_F(Dicom, SeveralSeriesAreListed) {
  write_slices({"30", "33"});
  SliceFile other;
  other.series = "1.2.3.9";
  write_bytes(folder_ / "z", other.bytes());
  const std::string message = refusal();
  EXPECT_THAT(message, HasSubstr("2 DICOM series"));
  EXPECT_THAT(message, HasSubstr("1.2.3.9"));
  EXPECT_THAT(message, HasSubstr("(2 files"));
}

TEST_F(Dicom, AnEmptyFolderIsRefused) { EXPECT_THAT(refusal(), HasSubstr("holds no DICOM series")); }

TEST_F(Dicom, RescaleSlopeAndInterceptAreApplied) {
  SliceFile slice;
  slice.slope = "0.5";
  slice.intercept = "-100";
  write_bytes(folder_ / "a.dcm", slice.bytes());
  const Image image = read_image(folder_ / "a.dcm");
  EXPECT_EQ(std::visit([](const auto& v) { return std::vector<double>(v.begin(), v.end()); }, image.voxels),
            (std::vector<double>{-100, -99.5, -99, -98.5, -98, -97.5}));
  slice.slope = "1";
  slice.intercept = "-1024";
  write_bytes(folder_ / "a.dcm", slice.bytes());
  EXPECT_EQ(read_labels(folder_ / "a.dcm").voxels[5], -1019);
}

TEST_F(Dicom, AFileAloneIsOneSliceAsThickAsItSays) {
  SliceFile slice;
  write_bytes(folder_ / "a.dcm", slice.bytes());
  EXPECT_EQ(read_geometry(folder_ / "a.dcm").size, (Index3{3, 2, 1}));
  EXPECT_NEAR(read_geometry(folder_ / "a.dcm").spacing_mm()[2], 4, 1e-12);
  slice.spacing_between = "5";
  write_bytes(folder_ / "a.dcm", slice.bytes());
  EXPECT_NEAR(read_geometry(folder_ / "a.dcm").spacing_mm()[2], 5, 1e-12);
}

TEST_F(Dicom, PaddingAfterThePixelsDoesNoHarm) {
  const std::string padding("\xfc\xff\xfc\xffOB\0\0\4\0\0\0\0\0\0\0", 16);
  write_bytes(folder_ / "a.dcm", SliceFile().bytes() + padding);
  EXPECT_EQ(read_geometry(folder_ / "a.dcm").size, (Index3{3, 2, 1}));
}

TEST_F(Dicom, AFileThatIsCutOffIsRefusedByName) {
  const std::string whole = SliceFile().bytes();
  for (const size_t size :
       {whole.size() - 1, whole.size() - 12, whole.size() / 2, size_t{200}, size_t{140}}) {
    write_bytes(folder_ / "a.dcm", whole.substr(0, size));
    EXPECT_THAT(error_of([&] { read_image(folder_ / "a.dcm"); }), HasSubstr(folder_ / "a.dcm")) << size;
  }
}

}  // namespace
}  // namespace mambaseg
