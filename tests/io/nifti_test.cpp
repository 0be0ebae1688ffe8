// NIfTI files put together byte by byte: byte orders, versions, the choice of the matrix, scaling, and what
// is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <span>
#include <vector>

#include "mambaseg/io/image.h"
#include "mambaseg/io/image_folder.h"
#include "mambaseg/io/labels_with_comment.h"
#include "mambaseg/io/packed_bytes.h"
#include "tests/io/byte_writer.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A NIfTI file of 2x3x2 int16 voxels 0, 1, 2, ... The offsets are those of nifti1.h and nifti2.h.
struct File {
  bool big = false;
  int version = 1;
  std::vector<int64_t> dim{3, 2, 3, 2, 1, 1, 1, 1};
  int16_t type = 4;
  std::vector<double> pixdim{1, 2, 3, 4, 0, 0, 0, 0};
  double slope = 0, offset = 0;
  double voxels_at = -1;  ///< -1: right after the header and its four extension bytes
  int sform_code = 0, qform_code = 0;
  std::vector<double> quaternion{0, 0, 0}, qoffset{0, 0, 0};
  std::vector<double> sform{2, 0, 0, -5, 0, 3, 0, 6, 0, 0, 4, 7};
  std::string magic = "n+1";
  int units = 2;
  size_t voxel_bytes = 24;

  std::string bytes() const {
    std::string out;
    const bool one = version == 1;
    const size_t data = voxels_at >= 0 ? static_cast<size_t>(voxels_at) : (one ? 352 : 544);
    const auto real = [&](size_t at1, size_t at2, double value) {
      if (one) {
        put(out, at1, static_cast<float>(value), big);
      } else {
        put(out, at2, value, big);
      }
    };
    put<int32_t>(out, 0, one ? 348 : 540, big);
    for (size_t i = 0; i < 8; ++i) {
      if (one) {
        put(out, 40 + 2 * i, static_cast<int16_t>(dim[i]), big);
      } else {
        put(out, 16 + 8 * i, dim[i], big);
      }
      real(76 + 4 * i, 104 + 8 * i, pixdim[i]);
    }
    put(out, one ? 70 : 12, type, big);
    if (one) {
      put(out, 108, static_cast<float>(data), big);
      put(out, 123, static_cast<uint8_t>(units), big);
      put(out, 252, static_cast<int16_t>(qform_code), big);
      put(out, 254, static_cast<int16_t>(sform_code), big);
    } else {
      put(out, 168, static_cast<int64_t>(data), big);
      put(out, 500, static_cast<int32_t>(units), big);
      put(out, 344, static_cast<int32_t>(qform_code), big);
      put(out, 348, static_cast<int32_t>(sform_code), big);
    }
    real(112, 176, slope);
    real(116, 184, offset);
    for (size_t i = 0; i < 3; ++i) {
      real(256 + 4 * i, 352 + 8 * i, quaternion[i]);
      real(268 + 4 * i, 376 + 8 * i, qoffset[i]);
    }
    for (size_t i = 0; i < 12; ++i) real(280 + 4 * i, 400 + 8 * i, sform[i]);
    out.resize(one ? 352 : 544, '\0');
    out.replace(one ? 344 : 4, magic.size(), magic);
    if (!one) out.replace(4, 8, std::string("n+2\0\r\n\032\n", 8));
    out.resize(std::max(out.size(), data), '\0');
    for (size_t i = 0; i < voxel_bytes / 2; ++i) put(out, data + 2 * i, static_cast<int16_t>(i), big);
    return out;
  }
};

class Nifti : public testing::Test {
 protected:
  Image read(const File& file) {
    write_bytes(path_, file.bytes());
    warnings_.clear();
    return read_image(path_, [this](const std::string& line) { warnings_.push_back(line); });
  }
  std::string refusal(const File& file) {
    return error_of([&] { read(file); });
  }
  TemporaryFolder folder_;
  std::string path_ = folder_ / "a.nii";
  std::vector<std::string> warnings_;
};

TEST_F(Nifti, BothByteOrdersAndVersionsGiveTheSame) {
  for (const int version : {1, 2})
    for (const bool big : {false, true}) {
      File file;
      file.version = version;
      file.big = big;
      file.sform_code = 1;
      const Image image = read(file);
      EXPECT_EQ(image.geometry.size, (Index3{2, 3, 2}));
      EXPECT_EQ(image.voxels, VoxelData(std::vector<int16_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
      EXPECT_EQ(image.geometry.voxel_to_ras_mm.matrix,
                (std::array<Vector3, 3>{{{2, 0, 0}, {0, 3, 0}, {0, 0, 4}}}));
      EXPECT_EQ(image.geometry.voxel_to_ras_mm.offset, (Vector3{-5, 6, 7}));
      EXPECT_TRUE(warnings_.empty());
    }
}

TEST_F(Nifti, TheSformGoesBeforeTheQform) {
  File file;
  file.sform_code = 4;
  file.qform_code = 1;
  file.quaternion = {1, 0, 0};
  EXPECT_EQ(read(file).geometry.orientation(), "RAS");
  file.sform_code = 0;
  EXPECT_EQ(read(file).geometry.orientation(), "RPI");
}

TEST_F(Nifti, TheQformTurnsByItsQuaternion) {
  File file;
  file.qform_code = 1;
  file.quaternion = {0, 0, std::sqrt(0.5)};  // 90 degrees about z: i runs to y, j to -x
  file.qoffset = {1, 2, 3};
  file.version = 2;
  const Affine a = read(file).geometry.voxel_to_ras_mm;
  EXPECT_LE(difference(a, Affine{{{{0, -3, 0}, {2, 0, 0}, {0, 0, 4}}}, {1, 2, 3}}), 1e-12);
  file.pixdim[0] = -1;
  EXPECT_EQ(read(file).geometry.orientation(), "ALI");
  file.pixdim[0] = 0;  // counts as 1
  EXPECT_EQ(read(file).geometry.orientation(), "ALS");
  file.quaternion = {0.9, 0.9, 0};
  EXPECT_THAT(refusal(file), HasSubstr("the qform of the header is no rotation"));
}

TEST_F(Nifti, WithoutAMatrixTheSpacingCountsFromTheMiddleWithXToTheLeft) {
  File file;
  const Affine a = read(file).geometry.voxel_to_ras_mm;
  EXPECT_EQ(a.matrix, (std::array<Vector3, 3>{{{-2, 0, 0}, {0, 3, 0}, {0, 0, 4}}}));
  EXPECT_EQ(a.offset, (Vector3{1, -3, -2}));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("a.nii: the header says nothing about orientation")));
  file.pixdim = {1, -2, 0, 4, 0, 0, 0, 0};
  EXPECT_EQ(read(file).geometry.spacing_mm(), (Vector3{2, 1, 4}));
  EXPECT_EQ(warnings_.size(), 2u);
}

TEST_F(Nifti, TheHeadersScalingIsAppliedInDouble) {
  File file;
  file.sform_code = 1;
  file.slope = 0.5;
  file.offset = -3;
  EXPECT_EQ(std::get<std::vector<double>>(read(file).voxels)[11], 2.5);
  for (const double slope :
       {0.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    file.slope = slope;
    EXPECT_EQ(std::get<std::vector<int16_t>>(read(file).voxels)[11], 11) << slope;
  }
  file.slope = 1;
  EXPECT_EQ(std::get<std::vector<double>>(read(file).voxels)[11], 8);
  file.offset = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(refusal(file), HasSubstr("adds nan"));
}

TEST_F(Nifti, AFourthAxisOfOneVoxelIsNone) {
  File file;
  file.sform_code = 1;
  file.dim = {5, 2, 3, 2, 1, 1, 1, 1};
  EXPECT_EQ(read(file).geometry.size, (Index3{2, 3, 2}));
  file.dim = {2, 6, 2, 9, 9, 9, 9, 9};
  EXPECT_EQ(read(file).geometry.size, (Index3{6, 2, 1}));
  file.dim = {4, 2, 3, 1, 2, 1, 1, 1};
  EXPECT_THAT(refusal(file), HasSubstr("a.nii: the image is 4-D (2x3x1x2)"));
  file.dim = {5, 2, 3, 1, 1, 2, 1, 1};
  EXPECT_THAT(refusal(file), HasSubstr("the image is 5-D"));
}

TEST_F(Nifti, AnAxisOfNoVoxelsBeyondTheSecondCountsAsOne) {
  File file;
  file.sform_code = 1;
  for (const int64_t nothing : {int64_t{0}, int64_t{-1}}) {
    file.dim = {4, 2, 3, 2, nothing, 0, 0, 0};
    EXPECT_EQ(read(file).geometry.size, (Index3{2, 3, 2}));
    EXPECT_THAT(warnings_, ElementsAre(HasSubstr("gives an axis no voxels; 1 is taken")));
    file.dim = {3, 6, 2, nothing, 1, 1, 1, 1};
    EXPECT_EQ(read(file).geometry.size, (Index3{6, 2, 1}));
    EXPECT_EQ(std::get<std::vector<int16_t>>(read(file).voxels)[11], 11);
  }
  file.dim = {3, 2, 3, 2, 0, 0, 0, 0};  // what is behind the axes that count does not matter
  read(file);
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(Nifti, VoxelsAtByteZeroOfASingleFileStandBehindTheHeader) {
  for (const int version : {1, 2}) {
    File file;
    file.version = version;
    file.sform_code = 1;
    std::string bytes = file.bytes();
    if (version == 1)
      put(bytes, 108, 0.0f, false);
    else
      put(bytes, 168, int64_t{0}, false);
    write_bytes(path_, bytes);
    std::vector<std::string> warnings;
    const Image image = read_image(path_, [&](const std::string& line) { warnings.push_back(line); });
    EXPECT_EQ(image.voxels, read(file).voxels);
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("voxels start at byte 0")));
  }
}

TEST_F(Nifti, MetresAndMicronsAreBroughtToMm) {
  for (const int version : {1, 2})
    for (const auto& [units, mm] : {std::pair(1, 1000.0), std::pair(3, 1e-3)})
      for (const bool by_sform : {true, false}) {
        File file;
        file.version = version;
        file.units = units;
        (by_sform ? file.sform_code : file.qform_code) = 1;
        file.qoffset = {-5 / mm, 6 / mm, 7 / mm};
        for (size_t axis = 1; axis <= 3; ++axis) file.pixdim[axis] /= mm;
        for (double& value : file.sform) value /= mm;
        EXPECT_LE(difference(read(file).geometry.voxel_to_ras_mm,
                             Affine{{{{2, 0, 0}, {0, 3, 0}, {0, 0, 4}}}, {-5, 6, 7}}),
                  1e-5);
        EXPECT_THAT(warnings_, ElementsAre(HasSubstr("they are brought to mm")));
      }
  File file;  // voxels of metres are mm with a wrong word
  file.units = 1;
  file.sform_code = 1;
  EXPECT_EQ(read(file).geometry.spacing_mm(), (Vector3{2, 3, 4}));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("too large; mm are taken")));
}

TEST_F(Nifti, ASformThatCannotPlaceVoxelsGivesWayToTheQform) {
  File file;
  file.sform_code = file.qform_code = 1;
  file.qoffset = {1, 2, 3};
  for (const double entry : {0.0, std::numeric_limits<double>::quiet_NaN()}) {
    file.sform.assign(12, entry);
    EXPECT_EQ(read(file).geometry.voxel_to_ras_mm, (Affine{{{{2, 0, 0}, {0, 3, 0}, {0, 0, 4}}}, {1, 2, 3}}));
    EXPECT_THAT(warnings_, ElementsAre(HasSubstr("its qform is taken")));
  }
}

TEST_F(Nifti, TwoMatricesOfOneCodeThatDifferAreTold) {
  File file;
  file.sform_code = file.qform_code = 1;
  file.qoffset = {-5, 6, 7};
  read(file);
  EXPECT_TRUE(warnings_.empty());
  file.qoffset = {-5, 6, 10};
  EXPECT_EQ(read(file).geometry.voxel_to_ras_mm.offset, (Vector3{-5, 6, 7}));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("differ by up to 3 mm; the sform is taken")));
  file.sform_code = 4;  // an atlas
  read(file);
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(Nifti, SpacingsThatAreNoNumbersAreOneMm) {
  File file;
  file.qform_code = 1;
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 0.0}) {
    file.pixdim[2] = bad;
    EXPECT_EQ(read(file).geometry.spacing_mm(), (Vector3{2, 1, 4}));
    EXPECT_THAT(warnings_, ElementsAre(HasSubstr("along axis 2; 1 mm is taken")));
  }
  file.qform_code = 0;
  file.sform_code = 1;  // does not need them
  read(file);
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(Nifti, AQuaternionTooLongByRoundingIsStillARotation) {
  File file;
  file.version = 2;
  file.qform_code = 1;
  file.quaternion = {0, 0, 1.0002};
  EXPECT_LE(difference(read(file).geometry.voxel_to_ras_mm,
                       Affine{{{{-2, 0, 0}, {0, -3, 0}, {0, 0, 4}}}, {0, 0, 0}}),
            1e-9);
  file.quaternion = {0, 0, std::numeric_limits<double>::quiet_NaN()};
  EXPECT_THAT(refusal(file), HasSubstr("no rotation"));
}

TEST_F(Nifti, LabelsAreRoundedWhereAScaleRoundedThem) {
  File file;
  file.sform_code = 1;
  std::string bytes = file.bytes();
  put(bytes, 112, 1.0f / 255, false);  // 1/255 in 24 bits: 255 becomes 1.0000000591389835
  for (size_t i = 0; i < 12; ++i) put(bytes, 352 + 2 * i, static_cast<int16_t>(255 * (i % 3)), false);
  write_bytes(path_, bytes);
  EXPECT_EQ(read_labels(path_).voxels, (std::vector<int32_t>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2}));
  put(bytes, 352 + 2 * 7, int16_t{100}, false);
  write_bytes(path_, bytes);
  EXPECT_THAT(error_of([&] { read_labels(path_); }),
              testing::MatchesRegex(
                  ".*a.nii: expected labels \\(whole numbers of 32 bits\\), got 0.39215688.* in voxel "
                  "\\(1, 0, 1\\)"));
}

// As nibabel stores floats in a header of whole numbers: their range is spread over the range of the type.
TEST_F(Nifti, LabelsAreRoundedByHalfAStepOfTheScale) {
  File file;
  file.sform_code = 1;
  std::string bytes = file.bytes();
  const auto spread = [&](int highest, double levels) {
    const double step = highest / levels;
    put(bytes, 112, static_cast<float>(step), false);
    for (size_t i = 0; i < 12; ++i) {
      const int label = i % 3 == 2 ? highest : static_cast<int>(i % 3);
      put(bytes, 352 + 2 * i, static_cast<int16_t>(std::lround(label / step)), false);
    }
    write_bytes(path_, bytes);
  };
  for (const auto& [highest, levels] :
       std::initializer_list<std::pair<int, double>>{{2, 255}, {2035, 32767}}) {
    spread(highest, levels);
    EXPECT_EQ(read_labels(path_).voxels,
              (std::vector<int32_t>{0, 1, highest, 0, 1, highest, 0, 1, highest, 0, 1, highest}));
  }
  spread(200, 255);  // 0.78 a step: no one knows which whole numbers these were
  EXPECT_NE(error_of([&] { read_labels(path_); }), "");
}

TEST_F(Nifti, RefusesWhatIsNoScalarImage) {
  File file;
  const std::pair<int, const char*> types[] = {{32, "complex"}, {1792, "complex"}, {128, "RGB"},
                                               {2304, "RGB"},   {1, "BINARY"},     {1536, "FLOAT128"},
                                               {0, "type"},     {77, "code 77"}};
  for (const auto& [type, word] : types) {
    file.type = static_cast<int16_t>(type);
    EXPECT_THAT(refusal(file), HasSubstr(word)) << type;
    EXPECT_NE(error_of([&] { read_geometry(path_); }), "") << type;
  }
}

TEST_F(Nifti, RefusesImpossibleSizes) {
  File file;
  file.dim = {3, 2, 0, 2, 1, 1, 1, 1};
  EXPECT_THAT(refusal(file), HasSubstr("no voxels (size 2x0x2)"));
  file.dim = {3, 2, -3, 2, 1, 1, 1, 1};
  EXPECT_THAT(refusal(file), HasSubstr("no voxels"));
  file.dim[0] = 0;
  EXPECT_THAT(refusal(file), HasSubstr("0 axes"));
  file.dim[0] = 8;
  EXPECT_THAT(refusal(file), HasSubstr("8 axes"));
  file = File();
  file.version = 2;
  file.dim = {3, int64_t{1} << 40, int64_t{1} << 40, 2, 1, 1, 1, 1};
  EXPECT_THAT(refusal(file), HasSubstr("impossible"));
  file.dim = {3, 1 << 20, 1 << 20, 1 << 14,
              1, 1,       1,       1};  // 2^55 bytes: must be refused before memory is taken
  EXPECT_THAT(refusal(file), HasSubstr("cut off"));
}

TEST_F(Nifti, RefusesVoxelsInsideTheHeaderAndGoesOverExtensions) {
  File file;
  file.sform_code = 1;
  std::string bytes = file.bytes();
  put(bytes, 108, 100.0f, false);
  write_bytes(path_, bytes);
  EXPECT_THAT(error_of([&] { read_image(path_); }), HasSubstr("voxels start at byte 100"));
  file.voxels_at = 1024;
  EXPECT_EQ(std::get<std::vector<int16_t>>(read(file).voxels)[11], 11);
  put(bytes, 108, std::numeric_limits<float>::quiet_NaN(), false);
  write_bytes(path_, bytes);
  EXPECT_THAT(error_of([&] { read_image(path_); }), HasSubstr("which cannot be"));
}

TEST_F(Nifti, RefusesAMatrixThatIsNone) {
  File file;
  file.sform_code = 1;
  file.sform[5] = 0;
  EXPECT_THAT(refusal(file), HasSubstr("singular"));
  file.sform[5] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(refusal(file), HasSubstr("not numbers"));
}

TEST_F(Nifti, SkewedAxesLoadWithAWarning) {
  File file;
  file.sform_code = 1;
  file.sform[1] = 0.03;
  EXPECT_EQ(read(file).geometry.voxel_to_ras_mm.matrix[0][1], 0.03f);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("not orthogonal (off by 0.57")));
  file.sform[1] = 0.003;
  read(file);
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(Nifti, SkewedAxesAreWrittenWithoutQform) {
  Image image = counting_image<uint8_t>(oblique_grid());
  write_image(path_, image);
  EXPECT_EQ(read_bytes(path_)[252], 1);
  image.geometry.voxel_to_ras_mm.matrix[0][1] += 0.01;
  write_image(path_, image);
  EXPECT_EQ(read_bytes(path_)[252], 0);
  EXPECT_EQ(read_bytes(path_)[254], 1);
}

TEST_F(Nifti, TheQformThatIsWrittenAgreesWithTheSform) {
  write_image(path_, counting_image<uint8_t>(oblique_grid()));
  const Affine from_sform = read_geometry(path_).voxel_to_ras_mm;
  std::string bytes = read_bytes(path_);
  put<int16_t>(bytes, 254, 0, false);
  write_bytes(path_, bytes);
  EXPECT_LE(difference(read_geometry(path_).voxel_to_ras_mm, from_sform), 1e-5);
}

TEST_F(Nifti, LongAxesAreWrittenAsNifti2) {
  Geometry g;
  g.size = {40000, 1, 1};
  g.voxel_to_ras_mm.matrix[0][0] = 0.1;  // no float
  write_image(path_, counting_image<int32_t>(g));
  EXPECT_EQ(read_bytes(path_).substr(4, 3), "n+2");
  EXPECT_EQ(read_image(path_).geometry, g);
  write_image(folder_ / "b.hdr", counting_image<int32_t>(g));
  EXPECT_EQ(read_bytes(folder_ / "b.hdr").substr(4, 3), "ni2");
  EXPECT_EQ(read_image(folder_ / "b.hdr").geometry, g);
}

TEST_F(Nifti, APairIsReadByEitherName) {
  const Image image = counting_image<int16_t>(oblique_grid());
  write_image(folder_ / "p.hdr", image);
  EXPECT_EQ(read_image(folder_ / "p.hdr").voxels, image.voxels);
  EXPECT_EQ(read_image(folder_ / "p.img").voxels, image.voxels);
  std::filesystem::remove(folder_ / "p.img");
  EXPECT_THAT(error_of([&] { read_image(folder_ / "p.hdr"); }), HasSubstr("p.img, is missing"));
  EXPECT_EQ(read_geometry(folder_ / "p.hdr"), image.geometry);
  std::filesystem::remove(folder_ / "p.hdr");
  write_bytes(folder_ / "p.img", "x");
  EXPECT_THAT(error_of([&] { read_image(folder_ / "p.img"); }),
              HasSubstr("the file with the header, p.hdr, is missing"));
}

TEST_F(Nifti, APairMayBeGzippedInEitherPart) {
  const Image image = counting_image<int16_t>(oblique_grid());
  write_image(folder_ / "p.hdr", image);
  const std::string header = read_bytes(folder_ / "p.hdr"), voxels = read_bytes(folder_ / "p.img");
  std::filesystem::remove(folder_ / "p.hdr");
  write_bytes(folder_ / "p.hdr.gz", deflated(std::as_bytes(std::span(header)), DeflateFormat::kGzip));
  EXPECT_EQ(read_image(folder_ / "p.hdr.gz").voxels, image.voxels);
  EXPECT_EQ(read_image(folder_ / "p.img").voxels, image.voxels);
  std::filesystem::remove(folder_ / "p.img");
  write_bytes(folder_ / "p.img.gz", deflated(std::as_bytes(std::span(voxels)), DeflateFormat::kGzip));
  EXPECT_EQ(read_image(folder_ / "p.hdr.gz").voxels, image.voxels);
  EXPECT_EQ(read_image(folder_ / "p.img.gz").voxels, image.voxels);
  EXPECT_EQ(image_stem(folder_ / "p.hdr.gz"), "p");
  EXPECT_THAT(image_files(folder_ / "", FolderOf::kImages), ElementsAre(folder_ / "p.hdr.gz"));
}

TEST_F(Nifti, AnAnalyzeHeaderIsRefused) {
  File file;
  file.magic = std::string(3, '\0');
  write_bytes(folder_ / "a.hdr", file.bytes());
  EXPECT_THAT(error_of([&] { read_image(folder_ / "a.hdr"); }), HasSubstr("Analyze 7.5"));
}

// nifti1.h: byte 348 says whether extensions follow; each has its size (a multiple of 16) and its code in
// front.
TEST_F(Nifti, LabelsCarryACommentThatReadersSkip) {
  Volume<int32_t> labels(oblique_grid());
  for (size_t v = 0; v < labels.voxels.size(); ++v) labels.voxels[v] = static_cast<int32_t>(v % 3) * 1000;
  const std::string comment = "1000 ctx-lh-unknown\n2000 ctx-rh-unknown\n";
  write_labels_with_comment(path_, labels, comment);
  EXPECT_EQ(read_labels(path_).voxels, labels.voxels);
  EXPECT_EQ(read_geometry(path_).size, labels.geometry.size);
  const std::string bytes = read_bytes(path_);
  EXPECT_EQ(bytes[348], 1);
  const auto number = [&](size_t at) {
    int32_t value = 0;
    std::memcpy(&value, &bytes[at], sizeof value);
    return value;
  };
  EXPECT_EQ(number(352) % 16, 0);
  EXPECT_EQ(number(356), 6);
  EXPECT_EQ(std::string(&bytes[360]), comment);
  EXPECT_EQ(bytes.size(), size_t(352 + number(352)) + 2 * labels.voxels.size());
  for (const char* name : {"a.nii.gz", "a.hdr", "a.mgz"}) {
    write_labels_with_comment(folder_ / name, labels, comment);
    EXPECT_EQ(read_labels(folder_ / name).voxels, labels.voxels) << name;
  }
  write_labels(path_, labels);
  EXPECT_EQ(read_bytes(path_).substr(348, 4), std::string(4, '\0'));
}

TEST_F(Nifti, GzipIsKnownByContent) {
  const Image image = counting_image<int16_t>(oblique_grid());
  write_image(folder_ / "a.nii.gz", image);
  EXPECT_EQ(read_bytes(folder_ / "a.nii.gz").substr(0, 2), "\x1f\x8b");
  std::filesystem::rename(folder_ / "a.nii.gz", folder_ / "packed.nii");
  EXPECT_EQ(read_image(folder_ / "packed.nii").voxels, image.voxels);
  write_image(path_, image);
  std::filesystem::rename(path_, folder_ / "plain.nii.gz");
  EXPECT_EQ(read_image(folder_ / "plain.nii.gz").voxels, image.voxels);
}

TEST_F(Nifti, DamagedGzipIsRefused) {
  write_image(folder_ / "a.nii.gz", counting_image<double>(oblique_grid()));
  std::string bytes = read_bytes(folder_ / "a.nii.gz");
  bytes[bytes.size() - 6] = static_cast<char>(bytes[bytes.size() - 6] ^ 1);  // in the check sum
  write_bytes(folder_ / "a.nii.gz", bytes);
  EXPECT_THAT(error_of([&] { read_image(folder_ / "a.nii.gz"); }), HasSubstr("damaged"));
}

}  // namespace
}  // namespace mambaseg
