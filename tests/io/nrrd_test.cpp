// NRRD headers written by hand.

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

TEST_F(Nrrd, WarnsWhenTheSpaceIsNotThePatients) {
  EXPECT_EQ(read("dimension: 3\nsizes: 2 3 2\nspacings: 1 2 3\n").geometry.spacing_mm(), (Vector3{1, 2, 3}));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("does not place the axes in the patient")));
}

TEST_F(Nrrd, RefusesVectorsAndShortFilesOnOneLine) {
  const auto refusal = [&](const std::string& fields, size_t count) {
    const std::string message = error_of([&] { read(fields, count); });
    EXPECT_THAT(message, HasSubstr(folder_ / "a.nrrd"));
    EXPECT_EQ(message.find('\n'), std::string::npos);
    return message;
  };
  EXPECT_THAT(refusal(std::string("space: left-posterior-superior\n") + kGrid, 11),
              HasSubstr("cannot be read"));
  EXPECT_THAT(
      refusal("dimension: 4\nspace: left-posterior-superior\nsizes: 3 2 3 2\nspace directions: none (1,0,0) "
              "(0,1,0) (0,0,1)\nkinds: vector domain domain domain\n",
              36),
      HasSubstr("3 numbers; expected one number a voxel"));
  EXPECT_NE(refusal("dimension: 3\nsizes: 2 0 2\n", 0), "");
  EXPECT_NE(refusal("dimension: 3\n", 12), "");
}

}  // namespace
}  // namespace mambaseg
