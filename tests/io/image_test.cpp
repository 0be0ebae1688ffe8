#include "mambaseg/io/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "mambaseg/io/summary.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

TEST(ImageNames, EndingsCountWhateverTheirCase) {
  for (const char* name : {"a.nii", "a.nii.gz", "A.NII.GZ", "/b/a.hdr", "a.mgz", "a.mgh", "a.nrrd",
                           "a.seg.nrrd", "a.mha", "a.mhd"})
    EXPECT_TRUE(is_image_name(name)) << name;
  for (const char* name :
       {"a", "a.gz", ".nii.gz", "a.nii.txt", "a.png", "a.dcm", "a.img", "a.raw", "a.zraw", "a.mnc", ""})
    EXPECT_FALSE(is_image_name(name)) << name;
  EXPECT_EQ(image_stem("/data/hippocampus_001.nii.gz"), "hippocampus_001");
  EXPECT_EQ(image_stem("a.b.NII.gz"), "a.b");
  EXPECT_EQ(image_stem("Segmentation.seg.nrrd"), "Segmentation");
  EXPECT_EQ(image_stem("x/photo.jpg"), "photo");
  EXPECT_EQ(image_stem("x/notes.txt"), "notes.txt");
}

TEST(ImageNames, WhatCannotBeWrittenIsRefusedWithWhatCan) {
  TemporaryFolder folder;
  for (const char* name : {"o.txt", "o.png", "o.dcm", "o.img", "o"}) {
    const std::string message =
        error_of([&] { write_image(folder / name, counting_image<uint8_t>(oblique_grid())); });
    EXPECT_EQ(message, folder / name + ": cannot write an image of this format; use one of the endings " +
                           image_endings_text());
  }
  for (const char* ending : {".nii.gz", ".mgz", ".mhd"}) EXPECT_THAT(image_endings_text(), HasSubstr(ending));
  EXPECT_TRUE(std::filesystem::is_empty(folder.string()));
}

TEST(ReadImage, SaysWhatIsWrongWithThePath) {
  TemporaryFolder folder;
  const auto read = [](const std::string& path) { return error_of([&path] { read_image(path); }); };
  EXPECT_EQ(read(folder / "none.nii"), (folder / "none.nii") + ": no such file");
  write_bytes(folder / "empty.nii.gz", "");
  EXPECT_THAT(read(folder / "empty.nii.gz"), HasSubstr("the file is empty"));
  write_bytes(folder / "letter.txt", "Dear all");
  EXPECT_THAT(read(folder / "letter.txt"), HasSubstr("not an image of a known format"));
  for (const char* name : {"a.nii", "a.nii.gz", "a.hdr", "a.mgz", "a.mha"}) {
    write_bytes(folder / name, std::string(600, 'x'));
    const std::string message = read(folder / name);
    EXPECT_THAT(message, HasSubstr(folder / name));
    EXPECT_THAT(message, HasSubstr("not a")) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  for (const char* name : {"a.mnc", "a+orig.HEAD", "a+orig.BRIK.gz", "a.PAR", "a.rec", "a.dcm.gz"}) {
    write_bytes(folder / name, "bytes");
    EXPECT_THAT(read(folder / name), HasSubstr("convert this one to NIfTI first"));
  }
}

TEST(ReadImage, KnowsAFileWithoutEndingByItsContent) {
  TemporaryFolder folder;
  const Image image = counting_image<uint8_t>(oblique_grid());
  write_image(folder / "a.nii.gz", image);
  std::filesystem::rename(folder / "a.nii.gz", folder / "a");
  EXPECT_EQ(read_image(folder / "a").voxels, image.voxels);
}

TEST(ReadVolume, CountsVoxelsThatAreNoNumbers) {
  TemporaryFolder folder;
  Volume<float> volume(oblique_grid(), 1);
  volume.voxels[3] = std::numeric_limits<float>::quiet_NaN();
  volume.voxels[4] = -std::numeric_limits<float>::infinity();
  write_volume(folder / "a.nii", volume);
  const std::string message = error_of([&] { read_volume(folder / "a.nii"); });
  EXPECT_THAT(message, HasSubstr("2 of 60 voxels are NaN"));
  EXPECT_THAT(message, HasSubstr("a.nii"));
  EXPECT_TRUE(std::isnan(std::get<std::vector<float>>(read_image(folder / "a.nii").voxels)[3]));
  write_image(folder / "b.nii", counting_image<double>(oblique_grid(), 1e300));
  EXPECT_THAT(error_of([&] { read_volume(folder / "b.nii"); }), HasSubstr("60 of 60 voxels"));
}

TEST(ReadLabels, TakesWholeFloatsAndNothingElse) {
  TemporaryFolder folder;
  Image image = counting_image<float>(oblique_grid());
  write_image(folder / "a.nii", image);
  EXPECT_EQ(read_labels(folder / "a.nii").voxels[59], 59);
  std::get<std::vector<float>>(image.voxels)[11] = 2.5f;
  write_image(folder / "a.nii", image);
  EXPECT_THAT(error_of([&] { read_labels(folder / "a.nii"); }), HasSubstr("got 2.5 in voxel (1, 2, 0)"));
  std::get<std::vector<float>>(image.voxels)[11] = std::numeric_limits<float>::quiet_NaN();
  write_image(folder / "a.nii", image);
  EXPECT_THAT(error_of([&] { read_labels(folder / "a.nii"); }), HasSubstr("got nan"));
  write_image(folder / "b.nii", counting_image<int64_t>(oblique_grid(), 1ll << 31));
  EXPECT_THAT(error_of([&] { read_labels(folder / "b.nii"); }), HasSubstr("got 2147483648 in voxel"));
}

TEST(WriteImage, RefusesWhatNoFileCanHold) {
  TemporaryFolder folder;
  Image image = counting_image<uint8_t>(oblique_grid());
  image.geometry.size[0] = 6;
  EXPECT_THAT(error_of([&] { write_image(folder / "a.nii", image); }), HasSubstr("cannot write 60 values"));
  Image flat = counting_image<uint8_t>(oblique_grid());
  for (auto& row : flat.geometry.voxel_to_ras_mm.matrix) row[1] = 0;
  EXPECT_THAT(error_of([&] { write_image(folder / "a.nii", flat); }), HasSubstr("singular"));
  flat.geometry.voxel_to_ras_mm.offset[0] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(error_of([&] { write_image(folder / "a.nii", flat); }), HasSubstr("not numbers"));
  EXPECT_THAT(error_of([&] { write_image(folder / "a.nii", Image{}); }), HasSubstr("cannot write 0 values"));
}

TEST(Summary, CountsLabelsAndMeasuresThem) {
  TemporaryFolder folder;
  Geometry g;
  g.size = {2, 2, 2};
  g.voxel_to_ras_mm.matrix[0][0] = 2;
  write_image(folder / "a.nii.gz", Image{g, std::vector<float>{0, 0, 3, 0, 3, -1, 0, 0}});
  const ImageSummary s = summarise_image(folder / "a.nii.gz");
  EXPECT_EQ(s.format, "NIfTI");
  EXPECT_EQ(s.number_type, "float");
  EXPECT_EQ(s.minimum, -1);
  EXPECT_EQ(s.maximum, 3);
  EXPECT_EQ(s.mean, 5.0 / 8);
  ASSERT_EQ(s.labels.size(), 3u);
  EXPECT_EQ(s.labels[0].value, -1);
  EXPECT_EQ(s.labels[2].voxels, 2);
  EXPECT_EQ(s.labels[2].volume_mm3, 4);
}

TEST(Summary, ManyOrBrokenValuesAreNoLabels) {
  TemporaryFolder folder;
  Geometry g;
  g.size = {301, 1, 1};
  write_image(folder / "a.nii", counting_image<int16_t>(g));
  EXPECT_TRUE(summarise_image(folder / "a.nii").labels.empty());
  g.size = {300, 1, 1};
  write_image(folder / "a.nii", counting_image<int16_t>(g));
  EXPECT_EQ(summarise_image(folder / "a.nii").labels.size(), 300u);
  g.size = {2, 1, 1};
  write_image(folder / "a.nii", Image{g, std::vector<float>{std::numeric_limits<float>::quiet_NaN(), 4}});
  const ImageSummary s = summarise_image(folder / "a.nii");
  EXPECT_TRUE(s.labels.empty());
  EXPECT_EQ(s.not_finite, 1);
  EXPECT_EQ(s.mean, 4);
}

}  // namespace
}  // namespace mambaseg
