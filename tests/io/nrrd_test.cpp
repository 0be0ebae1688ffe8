// NRRD headers written by hand.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/io/image.h"
#include "mambaseg/io/packed_bytes.h"
#include "tests/io/byte_writer.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Nrrd : public testing::Test {
 protected:
  Image read(const std::string& fields, size_t count = 12) {
    std::string voxels;
    for (size_t i = 0; i < count; ++i) put(voxels, 2 * i, static_cast<int16_t>(i), true);
    write_bytes(folder_ / "a.nrrd",
                "NRRD0004\ntype: short\nendian: big\nencoding: raw\n" + fields + "\n" + voxels);
    warnings_.clear();
    return read_image(folder_ / "a.nrrd", [this](const std::string& line) { warnings_.push_back(line); });
  }
  TemporaryFolder folder_;
  std::vector<std::string> warnings_;
};

const char* const kGrid =
    "dimension: 3\nsizes: 2 3 2\nspace directions: (0,-1,0) (0,0,2) (3,0,0)\n"
    "space origin: (10,20,30)\nkinds: domain domain domain\n";

TEST_F(Nrrd, LpsAndRasSpacesAreTakenAsTheyAreMeant) {
  const Image lps = read(std::string("space: left-posterior-superior\n") + kGrid);
  EXPECT_EQ(lps.geometry.orientation(), "ASL");
  EXPECT_LE(
      difference(lps.geometry.voxel_to_ras_mm, Affine{{{{0, 0, -3}, {1, 0, 0}, {0, 2, 0}}}, {-10, -20, 30}}),
      1e-12);
  EXPECT_EQ(std::get<std::vector<int16_t>>(lps.voxels)[11], 11);
  EXPECT_THAT(warnings_, IsEmpty());
  const Image ras = read(std::string("space: right-anterior-superior\n") + kGrid);
  EXPECT_LE(
      difference(ras.geometry.voxel_to_ras_mm, Affine{{{{0, 0, 3}, {-1, 0, 0}, {0, 2, 0}}}, {10, 20, 30}}),
      1e-12);
  EXPECT_THAT(warnings_, IsEmpty());
}

/// Directions and an origin whose signs tell what a space does to them.
const char* const kSkewedGrid =
    "dimension: 3\nsizes: 2 3 2\nspace directions: (1,0.5,0) (0,2,0) (0,0,3)\nspace origin: (10,20,30)\n";

TEST_F(Nrrd, EverySpaceOfTheDefinitionIsTakenAsItIsMeant) {
  const auto signed_by = [](double x, double y) {
    return Affine{{{{x, 0, 0}, {0.5 * y, 2 * y, 0}, {0, 0, 3}}}, {10 * x, 20 * y, 30}};
  };
  const std::tuple<const char*, Affine, bool> spaces[] = {
      {"space: right-anterior-superior", signed_by(1, 1), false},
      {"space: RAS", signed_by(1, 1), false},
      {"space: left-anterior-superior", signed_by(-1, 1), false},
      {"space: LAS", signed_by(-1, 1), false},
      {"space: left-posterior-superior", signed_by(-1, -1), false},
      {"space: lps", signed_by(-1, -1), false},
      {"space: scanner-xyz", signed_by(-1, -1), true},
      {"space: 3D-right-handed", signed_by(-1, -1), true},
      {"space: 3D-left-handed", signed_by(-1, 1), true},  // never mirrored
      {"space dimension: 3", signed_by(-1, -1), true},
  };
  for (const auto& [space, affine, assumed] : spaces) {
    const Image image = read(space + std::string("\n") + kSkewedGrid);
    EXPECT_LE(difference(image.geometry.voxel_to_ras_mm, affine), 1e-12) << space;
    EXPECT_EQ(warnings_.size(), assumed ? 2u : 1u) << space;  // one about the skewed axes
  }
  EXPECT_THAT(error_of([&] { read(std::string("space: left-leaning\n") + kSkewedGrid); }),
              HasSubstr("\"left-leaning\" is none of NRRD's"));
}

TEST_F(Nrrd, SpacesWithTimeHaveAFourthAxisOfOneEntry) {
  for (const char* space : {"right-anterior-superior-time", "RAST", "LAST", "LPST", "scanner-xyz-time"}) {
    const std::string fields = std::string("dimension: 4\nspace: ") + space +
                               "\nsizes: 2 3 2 N\nspace directions: (1,0,0,0) (0,2,0,0) (0,0,3,0) (0,0,0,5)\n"
                               "space origin: (10,20,30,0)\nkinds: domain domain domain time\n";
    const Image image = read(std::string(fields).replace(fields.find('N'), 1, "1"));
    EXPECT_EQ(image.geometry.size, (Index3{2, 3, 2}));
    EXPECT_NEAR(image.geometry.voxel_to_ras_mm.matrix[1][1],
                std::string(space) == "LAST" || space[0] == 'r' || std::string(space) == "RAST" ? 2 : -2,
                1e-12)
        << space;
    EXPECT_THAT(error_of([&] { read(std::string(fields).replace(fields.find('N'), 1, "2"), 24); }),
                HasSubstr("axis 4 of the file (time) has 2 entries"));
  }
}

TEST_F(Nrrd, UnitsOfTheSpaceAndOfTheAxesAreTakenToMm) {
  const std::string grid = std::string("space: RAS\n") + kGrid;
  const auto spacing = [&](const std::string& fields) { return read(fields).geometry.spacing_mm(); };
  EXPECT_EQ(spacing(grid + "space units: \"mm\" \"mm\" \"mm\"\n"), (Vector3{1, 2, 3}));
  EXPECT_EQ(spacing(grid + "space units: \"cm\" \"cm\" \"cm\"\n"), (Vector3{10, 20, 30}));
  EXPECT_EQ(read(grid + "space units: \"m\" \"m\" \"m\"\n").geometry.voxel_to_ras_mm.offset,
            (Vector3{10000, 20000, 30000}));
  for (const char* micron : {"um", "microns", "\u00b5m", "\xb5m", "micrometer"}) {
    const Vector3 s =
        spacing(grid + concat("space units: \"", micron, "\" \"", micron, "\" \"", micron, "\"\n"));
    EXPECT_NEAR(s[2], 0.003, 1e-12) << micron;
    EXPECT_THAT(warnings_, IsEmpty());
  }
  EXPECT_EQ(spacing("dimension: 3\nsizes: 2 3 2\nspacings: 1 2 3\nunits: \"cm\" \"mm\" \"m\"\n"),
            (Vector3{10, 2, 3000}));
  EXPECT_EQ(spacing(grid + "space units: \"ell\" \"ell\" \"ell\"\n"), (Vector3{1, 2, 3}));
  EXPECT_THAT(warnings_[0], HasSubstr("\"ell\", is not known; mm are taken"));
}

TEST_F(Nrrd, WithoutASpaceAxesAreMeasuredOneByOne) {
  const auto read_axes = [&](const std::string& fields) {
    return read("dimension: 3\nsizes: 2 3 2\n" + fields).geometry.voxel_to_ras_mm;
  };
  const auto of = [](double x, double y, double z, Vector3 at) {
    return Affine{{{{-x, 0, 0}, {0, -y, 0}, {0, 0, z}}}, {-at[0], -at[1], at[2]}};
  };
  EXPECT_EQ(read_axes("spacings: 1 2 3\n"), of(1, 2, 3, {0, 0, 0}));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("does not place the axes in the patient")));
  EXPECT_EQ(read_axes("spacings: nan 2 3\n"), of(1, 2, 3, {0, 0, 0}));
  // a cell reaches from its minimum on; a node lies on it; not told means cells
  EXPECT_EQ(read_axes("spacings: 1 2 3\naxis mins: 10 20 30\ncenters: cell cell cell\n"),
            of(1, 2, 3, {10.5, 21, 31.5}));
  EXPECT_EQ(read_axes("spacings: 1 2 3\naxis mins: 10 20 30\n"), of(1, 2, 3, {10.5, 21, 31.5}));
  EXPECT_EQ(read_axes("spacings: 1 2 3\naxis mins: 10 20 30\ncenters: cell node ???\n"),
            of(1, 2, 3, {10.5, 20, 31.5}));
  EXPECT_EQ(read_axes("axis mins: 10 20 30\naxis maxs: 20 50 40\ncenterings: cell cell node\n"),
            of(5, 10, 10, {12.5, 25, 30}));
}

TEST_F(Nrrd, TheOriginIsACentreWhateverTheCentring) {
  const std::string grid = std::string("space: RAS\n") + kGrid;
  EXPECT_EQ(read(grid + "centers: cell cell cell\n").geometry, read(grid).geometry);
  EXPECT_EQ(read(grid + "measurement frame: (0,1,0) (1,0,0) (0,0,1)\n").geometry, read(grid).geometry);
}

TEST_F(Nrrd, APictureInSpaceHasAThirdAxisAtRightAngles) {
  const Image image = read(
      "dimension: 2\nsizes: 6 2\nspace: RAS\nspace directions: (0,2,0) (0,0,3)\nspace origin: (1,2,3)\n");
  EXPECT_EQ(image.geometry.size, (Index3{6, 2, 1}));
  EXPECT_EQ(image.geometry.voxel_to_ras_mm, (Affine{{{{0, 0, 1}, {2, 0, 0}, {0, 3, 0}}}, {1, 2, 3}}));
  EXPECT_EQ(read("dimension: 1\nsizes: 12\nspacings: 2\n").geometry.spacing_mm(), (Vector3{2, 1, 1}));
}

TEST_F(Nrrd, AnAxisOutsideSpaceMayHaveOneEntry) {
  const std::string rest = "space: RAS\nspace directions: none (1,0,0) (0,2,0) (0,0,3)\n";
  EXPECT_EQ(read("dimension: 4\nsizes: 1 2 3 2\nkinds: list domain domain domain\n" + rest).geometry.size,
            (Index3{2, 3, 2}));
  EXPECT_EQ(read("dimension: 4\nsizes: 1 2 3 2\nkinds: list domain domain domain\nspace: RAS\n"
                 "space directions: (nan,nan,nan) (1,0,0) (0,2,0) (0,0,3)\n")
                .geometry.size,
            (Index3{2, 3, 2}));
  EXPECT_EQ(read("dimension: 4\nsizes: 2 3 2 1\nspacings: 1 2 3 nan\n").geometry.size, (Index3{2, 3, 2}));
  for (const char* kind : {"vector", "list", "3-color", "complex"})
    EXPECT_THAT(
        error_of([&] {
          read(concat("dimension: 4\nsizes: 3 2 3 2\nkinds: ", kind, " domain domain domain\n", rest), 36);
        }),
        HasSubstr(concat("axis 1 of the file (", kind, ") has 3 entries; expected one number a voxel")));
}

/// The same voxels in every encoding, behind the header and in files of their own.
class NrrdEncodings : public testing::Test {
 protected:
  static constexpr const char* kHead =
      "NRRD0005\r\n# comment\r\ntype: int16\r\ndimension: 3\nsizes: 2 3 2\n"
      "spacings: 1 1 1\nkey:=value: with colon\nunknown field: x\n";
  std::string raw() const {
    std::string bytes;
    for (size_t i = 0; i < 12; ++i) put(bytes, 2 * i, static_cast<int16_t>(300 * i - 5), false);
    return bytes;
  }
  std::string gzip() const { return deflated(std::as_bytes(std::span(raw_)), DeflateFormat::kGzip); }
  void expect_read(const std::string& name, const std::string& header) {
    write_bytes(folder_ / name, kHead + header);
    const VoxelData expected =
        std::vector<int16_t>{-5, 295, 595, 895, 1195, 1495, 1795, 2095, 2395, 2695, 2995, 3295};
    EXPECT_EQ(read_image(folder_ / name).voxels, expected) << header;
  }
  std::string refusal(const std::string& header) {
    write_bytes(folder_ / "a.nhdr", kHead + header);
    return error_of([&] { read_image(folder_ / "a.nhdr"); });
  }
  TemporaryFolder folder_;
  const std::string raw_ = raw();
};

TEST_F(NrrdEncodings, BehindTheHeader) {
  const std::string text = "-5 295,595\n895 1195 1495\n1795 2095 2395 2695 2995 +3295";
  std::string hex;
  for (const unsigned char c : raw_) hex += concat("0123456789abcdef"[c >> 4], "0123456789ABCDEF"[c & 15]);
  // the numbers packed by bzip2
  const unsigned char bzip2[] = {66,  90, 104, 57,  49,  65,  89, 38,  83,  89, 203, 133, 5,   196, 0,
                                 0,   11, 82,  218, 190, 252, 0,  128, 136, 8,  0,   0,   128, 128, 0,
                                 8,   8,  0,   0,   128, 128, 8,  160, 0,   49, 64,  6,   35,  77,  52,
                                 104, 80, 0,   208, 96,  154, 6,  235, 210, 75, 137, 26,  43,  15,  8,
                                 76,  17, 23,  205, 241, 119, 36, 83,  133, 9,  12,  184, 80,  92,  64};
  expect_read("a.nrrd", "endian: little\nencoding: raw\n\n" + raw_);
  expect_read("a.nrrd", "endian: little\nencoding: gzip\n\n" + gzip());
  expect_read("a.nrrd", "endian: little\nencoding: hex\n\n" + hex);
  expect_read("a.nrrd", "encoding: ascii\n\n" + text);
  expect_read("a.nrrd", "endian: little\nencoding: bzip2\n\n" +
                            std::string(reinterpret_cast<const char*>(bzip2), sizeof bzip2));
  expect_read("a.nrrd", "endian: little\nencoding: raw\nline skip: 1\nbyte skip: 2\n\nskipped\nxx" + raw_);
  expect_read("a.nrrd", "endian: little\nencoding: raw\nbyte skip: -1\n\nany length" + raw_);
}

TEST_F(NrrdEncodings, InFilesOfTheirOwn) {
  std::filesystem::create_directory(folder_ / "voxels");
  write_bytes(folder_ / "voxels/a.raw", "longer " + raw_);
  write_bytes(folder_ / "a.raw.gz", gzip());
  for (int k = 0; k < 2; ++k)
    write_bytes(folder_ / concat("s", k + 9, ".raw"), raw_.substr(12 * static_cast<size_t>(k), 12));
  for (int k = 0; k < 2; ++k)
    write_bytes(folder_ / concat("t", k == 0 ? "009" : "010", ".raw"),
                raw_.substr(12 * static_cast<size_t>(k), 12));
  expect_read("a.nhdr", "endian: little\nencoding: raw\ndata file: voxels/a.raw\nbyte skip: 7\n");
  expect_read("a.nhdr", "endian: little\nencoding: raw\ndata file: voxels/a.raw\nbyte skip: -1\n");
  expect_read("a.nhdr", "endian: little\nencoding: gzip\ndatafile: a.raw.gz\n\n");
  expect_read("a.nhdr", "endian: little\nencoding: raw\ndata file: s%d.raw 9 10 1\n");
  expect_read("a.nhdr", "endian: little\nencoding: raw\ndata file: t%03d.raw 9 10 1 2\n");
  expect_read("a.nhdr", "endian: little\nencoding: raw\ndata file: LIST\ns9.raw\ns10.raw\n");
}

TEST_F(NrrdEncodings, WhatIsMissingOrDamagedIsSaid) {
  EXPECT_EQ(
      refusal("endian: little\nencoding: raw\ndata file: gone.raw\n"),
      folder_ / "a.nhdr" + ": its file with voxels, gone.raw: there is no such file in " + folder_.string());
  // sizes that the files cannot hold are refused before memory is taken for them
  write_bytes(folder_ / "s1.raw", gzip());
  const std::string huge = "sizes: 200000 200000 40\nendian: little\n";
  for (const char* where :
       {"encoding: gzip\ndata file: s%d.raw 1 40 1\n", "encoding: bzip2\ndata file: s1.raw\n",
        "encoding: raw\ndata file: s1.raw\n", "encoding: ascii\n\n1 2 3"})
    EXPECT_THAT(refusal(huge + where), HasSubstr("the voxel data is cut off")) << where;
  EXPECT_THAT(refusal("encoding: raw\n\n" + raw_), HasSubstr("in which order the bytes"));
  EXPECT_THAT(refusal("endian: little\nencoding: lzma\n\n" + raw_),
              HasSubstr("encoding \"lzma\" are not read"));
  EXPECT_THAT(refusal("encoding: ascii\n\n1 2 3"), HasSubstr("3 of 12 numbers are there"));
  EXPECT_THAT(refusal("encoding: ascii\n\n1 2 3 4 5 6 7 8 9 70000 11 12"),
              HasSubstr("\"70000 11 12\" is no voxel value"));
  EXPECT_THAT(refusal("endian: little\nencoding: raw\ndata file: s%d.raw 9 13 1\n"),
              HasSubstr("no whole share"));
  EXPECT_THAT(refusal("endian: little\nencoding: raw\ndata file: s%s%n.raw 1 2 1\n"),
              HasSubstr("not understood"));
  std::string damaged = gzip();
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] + 1);  // its check sum
  EXPECT_THAT(refusal("endian: little\nencoding: gzip\n\n" + damaged), HasSubstr("damaged"));
  const std::string more = raw_ + "more";
  const std::string longer = deflated(std::as_bytes(std::span(more)), DeflateFormat::kGzip);
  EXPECT_THAT(refusal("endian: little\nencoding: gzip\n\n" + longer), HasSubstr("longer than the 24 bytes"));
}

TEST_F(Nrrd, RefusesShortAndImpossibleFilesOnOneLine) {
  const auto refusal = [&](const std::string& fields, size_t count) {
    const std::string message = error_of([&] { read(fields, count); });
    EXPECT_THAT(message, testing::StartsWith(folder_ / "a.nrrd" + ": "));
    EXPECT_EQ(message.find('\n'), std::string::npos);
    return message;
  };
  EXPECT_THAT(refusal(std::string("space: left-posterior-superior\n") + kGrid, 11), HasSubstr("cut off"));
  EXPECT_THAT(refusal("dimension: 3\nsizes: 2 0 2\n", 0), HasSubstr("no voxels"));
  EXPECT_THAT(refusal("dimension: 3\n", 12), HasSubstr("sizes"));
  EXPECT_THAT(refusal("sizes: 2 3 2\n", 12), HasSubstr("0 axes"));
  EXPECT_THAT(refusal("dimension: 3\nsizes: 2 3\n", 12), HasSubstr("expected 3 values in \"sizes: 2 3\""));
  EXPECT_THAT(refusal("dimension: 3\nsizes: 3000000000 3000000000 3000000000\n", 12),
              HasSubstr("impossible"));
  EXPECT_THAT(refusal("dimension: 3\nsizes: 2000 2000 2000\n", 12),
              HasSubstr("16000000000 bytes were announced"));
  EXPECT_THAT(refusal("dimension: 3\nsizes: 2 3 2\nspace: RAS\nspace directions: (1,0) (0,1) (1,1)\n", 12),
              HasSubstr("vectors of 3 numbers"));
  EXPECT_THAT(refusal("dimension: 3\nsizes: 2 3 2\nspacings: 1 2 thick\n", 12), HasSubstr("got \"thick\""));
}

}  // namespace
}  // namespace mambaseg
