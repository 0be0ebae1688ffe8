// DICOM files put together element by element (explicit little endian).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

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
  std::string syntax = "1.2.840.10008.1.2.1";  ///< "": no file meta information and no mark
  std::string object = "1.2.840.10008.5.1.4.1.1.4";
  std::string photometric = "MONOCHROME2";
  std::string words;                       ///< SeriesDescription
  std::vector<std::string> frame_heights;  ///< an enhanced image of several frames
  std::vector<std::string> frame_slopes, frame_directions;
  std::string spacing = "2\\0.5";  ///< between rows, between columns
  std::string imager_spacing;
  int stored = 16, high_bit = 15;

  std::string bytes() const {
    const std::string instance = "1.2.3.5." + std::to_string(number + 1);
    std::string out;
    if (!syntax.empty()) {
      std::string meta;
      element(meta, 2, 0x10, "UI", syntax);
      out = std::string(128, '\0') + "DICM";
      std::string length;
      put(length, 0, static_cast<uint32_t>(meta.size()), false);
      element(out, 2, 0, "UL", length);
      out += meta;
    }
    element(out, 0x8, 0x16, "UI", object);
    element(out, 0x8, 0x18, "UI", instance);
    element(out, 0x8, 0x60, "CS", "MR");
    if (!words.empty()) element(out, 0x8, 0x103e, "LO", words);
    element(out, 0x18, 0x50, "DS", thickness);
    if (!spacing_between.empty()) element(out, 0x18, 0x88, "DS", spacing_between);
    if (!imager_spacing.empty()) element(out, 0x18, 0x1164, "DS", imager_spacing);
    element(out, 0x20, 0xd, "UI", "1.2.3");
    element(out, 0x20, 0xe, "UI", series);
    element(out, 0x20, 0x11, "IS", "1");
    element(out, 0x20, 0x13, "IS", std::to_string(number + 1));
    const bool frames = !frame_heights.empty();
    if (!position.empty() && !frames) element(out, 0x20, 0x32, "DS", position);
    if (!frames) element(out, 0x20, 0x37, "DS", directions);
    number_element(out, 0x28, 0x2, 1);
    element(out, 0x28, 0x4, "CS", photometric);
    if (frames) element(out, 0x28, 0x8, "IS", std::to_string(frame_heights.size()));
    number_element(out, 0x28, 0x10, 2);
    number_element(out, 0x28, 0x11, 3);
    if (!frames && !spacing.empty()) element(out, 0x28, 0x30, "DS", spacing);
    number_element(out, 0x28, 0x100, 16);
    number_element(out, 0x28, 0x101, stored);
    number_element(out, 0x28, 0x102, high_bit);
    number_element(out, 0x28, 0x103, 1);
    if (!intercept.empty()) element(out, 0x28, 0x1052, "DS", intercept);
    if (!slope.empty()) element(out, 0x28, 0x1053, "DS", slope);
    if (frames) functional_groups(out);
    std::string pixels;
    for (size_t f = 0; f < std::max<size_t>(1, frame_heights.size()); ++f)
      for (size_t i = 0; i < 6; ++i)
        put(pixels, pixels.size(),
            static_cast<int16_t>(10 * (number + static_cast<int>(f)) + static_cast<int>(i)), false);
    element(out, 0x7fe0, 0x10, "OW", pixels);
    return out;
  }

 private:
  static std::string item(const std::string& elements) {
    std::string out("\xfe\xff\x00\xe0", 4);
    put(out, 4, static_cast<uint32_t>(elements.size()), false);
    return out + elements;
  }
  static void sequence_of_one(std::string& out, int group, int tag, int inner_group, int inner_tag,
                              const std::string& value) {
    std::string inner;
    element(inner, inner_group, inner_tag, "DS", value);
    element(out, group, tag, "SQ", item(inner));
  }
  void functional_groups(std::string& out) const {
    std::string shared, all;
    if (frame_directions.empty()) sequence_of_one(shared, 0x20, 0x9116, 0x20, 0x37, directions);
    sequence_of_one(shared, 0x28, 0x9110, 0x28, 0x30, spacing);
    for (size_t f = 0; f < frame_heights.size(); ++f) {
      std::string frame;
      sequence_of_one(frame, 0x20, 0x9113, 0x20, 0x32, "10\\20\\" + frame_heights[f]);
      if (!frame_directions.empty()) sequence_of_one(frame, 0x20, 0x9116, 0x20, 0x37, frame_directions[f]);
      if (!frame_slopes.empty()) {
        std::string values;
        element(values, 0x28, 0x1052, "DS", "0");
        element(values, 0x28, 0x1053, "DS", frame_slopes[f]);
        element(frame, 0x28, 0x9145, "SQ", item(values));
      }
      all += item(frame);
    }
    element(out, 0x5200, 0x9229, "SQ", item(shared));
    element(out, 0x5200, 0x9230, "SQ", all);
  }
  static void element(std::string& out, int group, int tag, const std::string& type, std::string value) {
    if (value.size() % 2 == 1) value += type == "UI" ? '\0' : ' ';
    put(out, out.size(), static_cast<uint16_t>(group), false);
    put(out, out.size(), static_cast<uint16_t>(tag), false);
    out += type;
    if (type == "OW" || type == "SQ") {
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

TEST_F(Dicom, ASeriesIsListedByItsWords) {
  SliceFile slice;
  for (const char* series : {"1.2.3.4", "1.2.3.9"}) {
    slice.series = series;
    slice.words = series == std::string("1.2.3.4") ? "T1 axial" : "T2 FLAIR";
    write_bytes(folder_ / series, slice.bytes());
  }
  EXPECT_THAT(refusal(),
              HasSubstr("1.2.3.4 (\"T1 axial\", 1 files, first 1.2.3.4), 1.2.3.9 (\"T2 FLAIR\", 1 files"));
}

TEST_F(Dicom, AFolderWithoutImagesIsRefused) {
  EXPECT_THAT(refusal(), HasSubstr("neither this folder nor those below it hold DICOM images"));
}

TEST_F(Dicom, ACdHasItsSlicesInFoldersBelow) {
  SliceFile directory;  // of the CD: a DICOM file without pixels
  write_bytes(folder_ / "DICOMDIR", directory.bytes().substr(0, directory.bytes().size() - 24));
  EXPECT_THAT(refusal(), HasSubstr("(1 DICOM files without pixels, such as DICOMDIR)"));
  std::filesystem::create_directories(folder_ / "DICOM/S1");
  for (int i = 0; i < 3; ++i) {
    SliceFile slice;
    slice.number = i;
    slice.position = "10\\20\\" + std::to_string(3 * i);
    write_bytes(folder_ / ("DICOM/S1/I" + std::to_string(i)), slice.bytes());
  }
  EXPECT_EQ(read().geometry.size, (Index3{3, 2, 3}));
  std::filesystem::create_directories(folder_ / "DICOM/S2");
  SliceFile other;
  other.series = "1.2.3.9";
  write_bytes(folder_ / "DICOM/S2/I0", other.bytes());
  EXPECT_THAT(refusal(), HasSubstr("1.2.3.9 (1 files, first DICOM/S2/I0)"));
}

/// `explicit_bytes` without types and their padding, as files without meta information mostly are.
std::string implicit(const std::string& explicit_bytes) {
  std::string out;
  for (size_t at = 0; at < explicit_bytes.size();) {
    const bool is_long = explicit_bytes.compare(at + 4, 2, "OW") == 0;
    uint32_t length = 0;
    std::memcpy(&length, &explicit_bytes[at + (is_long ? 8 : 6)], is_long ? 4 : 2);
    out += explicit_bytes.substr(at, 4);
    put(out, out.size(), length, false);
    at += is_long ? 12 : 8;
    out += explicit_bytes.substr(at, length);
    at += length;
  }
  return out;
}

TEST_F(Dicom, FilesWithoutPreambleAreRead) {
  write_slices({"30", "33"});
  const Image whole = read();
  for (const bool typed : {true, false}) {
    for (int i = 0; i < 2; ++i) {
      SliceFile slice;
      slice.number = i;
      slice.syntax = "";
      slice.position = i == 0 ? "10\\20\\30" : "10\\20\\33";
      write_bytes(folder_ / (i == 0 ? "c" : "a"), typed ? slice.bytes() : implicit(slice.bytes()));
    }
    write_bytes(folder_ / "notes", std::string("\x08\x00\x07 this only begins like one", 29));
    EXPECT_EQ(read().voxels, whole.voxels) << typed;
    EXPECT_EQ(read().geometry, whole.geometry);
    EXPECT_EQ(read_geometry(folder_ / "c").size, (Index3{3, 2, 1}));  // known by its content
  }
}

TEST_F(Dicom, FileMetaInformationWithoutPreambleIsRead) {
  write_slices({"30", "33"});
  const Image whole = read();
  for (const char* name : {"a", "c"}) {
    const std::string bytes = read_bytes(folder_ / name);
    write_bytes(folder_ / name, bytes.substr(132));
  }
  EXPECT_EQ(read().voxels, whole.voxels);
  EXPECT_EQ(read().geometry, whole.geometry);
}

TEST_F(Dicom, ACopyOfASliceIsLeftOut) {
  write_slices({"30", "33", "36"});
  const Image whole = read();
  write_bytes(folder_ / "copy", read_bytes(folder_ / "a"));
  EXPECT_EQ(read().voxels, whole.voxels);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("copy is a copy of a (SOPInstanceUID)")));
}

TEST_F(Dicom, SpacingAtTheDetectorStandsInAndIsTold) {
  SliceFile slice;
  slice.spacing = "";
  slice.imager_spacing = "1.5\\1.25";
  write_bytes(folder_ / "a", slice.bytes());
  const Vector3 detector = read().geometry.spacing_mm();
  EXPECT_NEAR(detector[0], 1.25, 1e-12);
  EXPECT_NEAR(detector[1], 1.5, 1e-12);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("the 1.5 x 1.25 mm at the detector are taken")));
  slice.imager_spacing = "";
  write_bytes(folder_ / "a", slice.bytes());
  EXPECT_NEAR(read().geometry.spacing_mm()[0], 1, 1e-12);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("PixelSpacing, 0028,0030); 1 mm is taken")));
}

TEST_F(Dicom, BitsThatLieHighAreRefused) {
  SliceFile slice;
  slice.stored = 12;
  write_bytes(folder_ / "a", slice.bytes());
  EXPECT_THAT(refusal(), HasSubstr("the 12 bits of a pixel end at bit 15 (HighBit), expected 11"));
}

TEST_F(Dicom, SlicesWithoutAPlaceAreRefusedByName) {
  for (int i = 0; i < 2; ++i) {
    SliceFile slice;
    slice.number = i;
    slice.position = "";
    write_bytes(folder_ / std::to_string(i), slice.bytes());
  }
  const std::string message = refusal();
  EXPECT_THAT(message, testing::StartsWith(folder_.string() +
                                           ": 0: it does not say where it lies (ImagePositionPatient"));
  EXPECT_THAT(message, HasSubstr("look for the series as the scanner made it"));
  std::filesystem::remove(folder_ / "1");
  EXPECT_EQ(read().geometry.size, (Index3{3, 2, 1}));  // one slice needs no order
}

TEST_F(Dicom, AGapIsNamed) {
  write_slices({"30", "33", "36", "42", "45"});
  EXPECT_THAT(refusal(), HasSubstr("not evenly spaced: 6 mm between e and b, mostly 3 mm"));
}

TEST_F(Dicom, ALocaliserInTheSeriesIsNamed) {
  write_slices({"30", "33"});
  SliceFile localiser;
  localiser.directions = "0\\1\\0\\0\\0\\-1";
  write_bytes(folder_ / "scout", localiser.bytes());
  EXPECT_THAT(refusal(), HasSubstr("if it is a localiser, take it out of the folder"));
}

TEST_F(Dicom, Monochrome1KeepsTheNumbersOfTheFile) {
  SliceFile slice;
  write_bytes(folder_ / "a.dcm", slice.bytes());
  const Image image = read();
  EXPECT_THAT(warnings_, testing::IsEmpty());
  slice.photometric = "MONOCHROME1";
  write_bytes(folder_ / "a.dcm", slice.bytes());
  EXPECT_EQ(read().voxels, image.voxels);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("MONOCHROME1")));
}

TEST_F(Dicom, WhatIsNoGreyImageIsRefused) {
  for (const char* colours : {"RGB", "YBR_FULL_422", "PALETTE COLOR"}) {
    SliceFile slice;
    slice.photometric = colours;
    write_bytes(folder_ / "a.dcm", slice.bytes());
    EXPECT_THAT(refusal(), HasSubstr(concat("the pixels are colours (", colours, ")")));
  }
  const std::pair<const char*, const char*> objects[] = {{"66.4", "segmentation"}, {"481.2", "dose"}};
  for (const auto& [uid, words] : objects) {
    SliceFile slice;
    slice.object = concat("1.2.840.10008.5.1.4.1.1.", uid);
    write_bytes(folder_ / "a.dcm", slice.bytes());
    EXPECT_THAT(refusal(), HasSubstr(words));
  }
  SliceFile slice;
  slice.syntax = "1.2.840.10008.1.2.4.201";  // High-Throughput JPEG 2000
  write_bytes(folder_ / "a.dcm", slice.bytes());
  EXPECT_THAT(refusal(), HasSubstr("(transfer syntax 1.2.840.10008.1.2.4.201)"));
}

/// Enhanced images, whose frames lie where their functional groups say.
TEST_F(Dicom, FramesAreSortedByTheirPlaces) {
  SliceFile file;
  file.object = "1.2.840.10008.5.1.4.1.1.4.1";
  file.frame_heights = {"36", "30", "33"};
  write_bytes(folder_ / "a.dcm", file.bytes());
  const Image image = read();
  EXPECT_EQ(image.geometry.size, (Index3{3, 2, 3}));
  EXPECT_LE(difference(image.geometry.voxel_to_ras_mm,
                       Affine{{{{-0.5, 0, 0}, {0, -2, 0}, {0, 0, 3}}}, {-10, -20, 30}}),
            1e-12);
  EXPECT_EQ(image.voxels, VoxelData(std::vector<int16_t>{10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25, 0, 1,
                                                         2, 3, 4, 5}));
  EXPECT_EQ(read_geometry(folder_ / "a.dcm"), image.geometry);
}

TEST_F(Dicom, FramesThatAreNoVolumeAreRefused) {
  SliceFile file;
  file.object = "1.2.840.10008.5.1.4.1.1.4.1";
  const auto refusal_of = [&] {
    write_bytes(folder_ / "a.dcm", file.bytes());
    return refusal();
  };
  file.frame_heights = {"30", "33", "36", "42"};
  EXPECT_THAT(refusal_of(), HasSubstr("6 mm between frame 3 and frame 4"));
  file.frame_heights = {"30", "33", "30", "33"};
  EXPECT_THAT(refusal_of(), HasSubstr("frame 1 and frame 3 lie at the same place"));
  file.frame_heights = {"30", "33"};
  file.frame_slopes = {"1", "2"};
  EXPECT_THAT(refusal_of(), HasSubstr("different rescale slopes"));
  file.frame_slopes.clear();
  file.frame_directions = {"1\\0\\0\\0\\1\\0", "0\\1\\0\\0\\0\\-1"};
  EXPECT_THAT(refusal_of(), HasSubstr("2 different angles"));
}

TEST_F(Dicom, ASlopeOfItsOwnForEverySliceIsApplied) {
  for (int i = 0; i < 2; ++i) {
    SliceFile slice;
    slice.number = i;
    slice.position = i == 0 ? "10\\20\\30" : "10\\20\\33";
    slice.slope = i == 0 ? "0.5" : "0.25";
    slice.intercept = "0";
    write_bytes(folder_ / std::to_string(i), slice.bytes());
  }
  EXPECT_EQ(std::visit([](const auto& v) { return std::vector<double>(v.begin(), v.end()); }, read().voxels),
            (std::vector<double>{0, 0.5, 1, 1.5, 2, 2.5, 2.5, 2.75, 3, 3.25, 3.5, 3.75}));
}

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
  write_bytes(folder_ / "a.dcm", SliceFile().bytes() + "(\1S\20DS\4");  // no element: GDCM ended the program
  EXPECT_EQ(read().voxels, VoxelData(std::vector<int16_t>{0, 1, 2, 3, 4, 5}));
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
