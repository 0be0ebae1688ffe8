#include "mambaseg/data/datasets.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/io/byte_writer.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

/// A folder of empty files: reading a dataset looks at names only.
class Datasets : public testing::Test {
 protected:
  void touch(const std::string& name, const std::string& text = "") const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  std::vector<Case> read(const std::string& layout = "auto") const {
    DatasetSettings settings;
    settings.folder = folder_.string();
    settings.layout = layout;
    return read_dataset(settings);
  }
  std::string refusal(const std::string& layout = "auto") const {
    try {
      read(layout);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder temporary_;
  fs::path folder_ = temporary_.string();
};

TEST_F(Datasets, Decathlon) {
  touch("dataset.json", R"({"modality": {"0": "MRI"}})");
  touch("imagesTr/hippocampus_002.nii.gz");
  touch("imagesTr/hippocampus_001.nii.gz");
  touch("imagesTr/._hippocampus_001.nii.gz");  // written by macOS when it packs the archive
  touch("labelsTr/hippocampus_001.nii.gz");
  touch("labelsTr/hippocampus_002.nii.gz");
  const auto cases = read();
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_EQ(cases[0].id, "hippocampus_001");
  EXPECT_THAT(cases[0].images, ElementsAre((folder_ / "imagesTr/hippocampus_001.nii.gz").string()));
  EXPECT_EQ(cases[1].labels, (folder_ / "labelsTr/hippocampus_002.nii.gz").string());
}

TEST_F(Datasets, DecathlonNameThatEndsLikeAChannel) {
  touch("dataset.json", R"({"modality": {"0": "MRI"}})");
  touch("imagesTr/scan_0001.nii.gz");
  touch("labelsTr/scan_0001.nii.gz");
  EXPECT_EQ(read()[0].id, "scan_0001");
}

TEST_F(Datasets, NnunetWithTwoChannels) {
  touch("dataset.json", R"({"channel_names": {"0": "DWI", "1": "ADC"}})");
  for (const char* id : {"a", "b"}) {
    touch(std::string("imagesTr/") + id + "_0000.nii.gz");
    touch(std::string("imagesTr/") + id + "_0001.nii.gz");
    touch(std::string("labelsTr/") + id + ".nii.gz");
  }
  const auto cases = read();
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_THAT(cases[1].images, ElementsAre((folder_ / "imagesTr/b_0000.nii.gz").string(),
                                           (folder_ / "imagesTr/b_0001.nii.gz").string()));
  fs::remove(folder_ / "imagesTr/b_0000.nii.gz");
  EXPECT_THAT(refusal(), HasSubstr("case b lacks channel 0"));
}

TEST_F(Datasets, CaseNumbersAreNoChannels) {
  touch("dataset.json", R"({"channel_names": {"0": "CT"}, "file_ending": ".nii.gz"})");
  for (const char* id : {"amos_0000", "amos_0001", "amos_0008"}) {
    touch(std::string("imagesTr/") + id + ".nii.gz");
    touch(std::string("labelsTr/") + id + ".nii.gz");
  }
  const auto cases = read();
  ASSERT_EQ(cases.size(), 3u);
  EXPECT_EQ(cases[2].id, "amos_0008");
  for (const Case& one : cases) EXPECT_EQ(one.images.size(), 1u) << one.id;
}

TEST_F(Datasets, NumbersOfCaseAndChannel) {
  touch("dataset.json", R"({"channel_names": ["T1", "T2"]})");
  for (const char* id : {"amos_0000", "amos_0004"}) {
    for (const char* channel : {"_0000.mha", "_0001.mha"}) touch(std::string("imagesTr/") + id + channel);
    touch(std::string("labelsTr/") + id + ".mha");
  }
  const auto cases = read();
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_EQ(cases[1].id, "amos_0004");
  EXPECT_EQ(cases[1].images.size(), 2u);
}

TEST_F(Datasets, OfMetaImageNrrdAndPairs) {
  for (const char* kind : {"images/", "labels/"}) {
    for (const char* name : {"m.mhd", "m.raw", "n.nhdr", "n.raw", "p.hdr", "p.img", "q.nrrd"})
      touch(std::string(kind) + name);
  }
  fs::rename(folder_ / "labels/q.nrrd", folder_ / "labels/q.seg.nrrd");
  const auto cases = read();
  ASSERT_EQ(cases.size(), 4u);
  EXPECT_EQ(cases[0].labels, (folder_ / "labels/m.mhd").string());
  EXPECT_THAT(cases[1].images, ElementsAre((folder_ / "images/n.nhdr").string()));
  EXPECT_THAT(cases[2].images, ElementsAre((folder_ / "images/p.hdr").string()));
  EXPECT_EQ(cases[3].labels, (folder_ / "labels/q.seg.nrrd").string());
}

TEST_F(Datasets, FileEndingOfDatasetJsonCounts) {
  touch("dataset.json", R"({"channel_names": {"0": "R", "1": "G", "2": "B"}, "file_ending": ".png",
      "labels": {"background": 0, "road": 1}, "overwrite_image_reader_writer": "NaturalImage2DIO"})");
  touch("imagesTr/a_0000.png");
  touch("labelsTr/a.png");
  touch("labelsTr/a.jpg");
  const auto cases = read();
  ASSERT_EQ(cases.size(), 1u);
  EXPECT_EQ(cases[0].id, "a");
  EXPECT_EQ(cases[0].labels, (folder_ / "labelsTr/a.png").string());
  touch("dataset.json", R"({"channel_names": {"0": "R"}, "file_ending": ".tif"})");
  EXPECT_THAT(refusal(), HasSubstr("holds no file *.tif"));
}

TEST_F(Datasets, ChannelsOfOneFourDimensionalFile) {
  touch("dataset.json", R"({"modality": {"0": "T2", "1": "ADC"}})");
  touch("imagesTr/prostate_00.nii.gz");
  touch("labelsTr/prostate_00.nii.gz");
  EXPECT_EQ(read().size(), 1u);
  std::string header(352, '\0');  // of 8 x 8 x 8 voxels and three volumes
  put<int32_t>(header, 0, 348, false);
  const std::vector<int16_t> sizes{4, 8, 8, 8, 3, 1, 1, 1};
  for (size_t i = 0; i < sizes.size(); ++i) put(header, 40 + 2 * i, sizes[i], false);
  header.replace(344, 3, "n+1");
  touch("imagesTr/prostate_00.nii.gz", header);
  EXPECT_THAT(refusal(), HasSubstr("case prostate_00 has 3 channels ("));
  EXPECT_THAT(refusal(), HasSubstr("dataset.json declares 2"));
}

TEST_F(Datasets, ListsOfDatasetJson) {
  touch("dataset.json", R"({"channel_names": {"0": "a", "1": "b"}, "dataset": {
      "one": {"images": ["../store/x.nii.gz", "../store/y.nii.gz"], "label": "../store/x_seg.nii.gz"}}})");
  EXPECT_THAT(refusal(), HasSubstr("store/x.nii.gz is not there"));
  touch("dataset.json", R"({"channel_names": {"0": "a", "1": "b"}, "dataset": {
      "one": {"images": ["raw/x.nii.gz", "./raw/y.nii.gz"], "label": "raw/x_seg.nii.gz"}}})");
  for (const char* name : {"x", "y", "x_seg"}) touch(std::string("raw/") + name + ".nii.gz");
  auto cases = read();
  ASSERT_EQ(cases.size(), 1u);
  EXPECT_EQ(cases[0].id, "one");
  EXPECT_THAT(cases[0].images,
              ElementsAre((folder_ / "raw/x.nii.gz").string(), (folder_ / "raw/y.nii.gz").string()));

  // A Decathlon list that pairs other names; the folders count where names are the same.
  touch("imagesTr/c1_t1.nii.gz");
  touch("labelsTr/c1_seg.nii.gz");
  touch("dataset.json", R"({"modality": {"0": "MRI"}, "training": [
      {"image": "./imagesTr/c1_t1.nii.gz", "label": "./labelsTr/c1_seg.nii.gz"}], "test": ["x.nii.gz"]})");
  cases = read();
  ASSERT_EQ(cases.size(), 1u);
  EXPECT_EQ(cases[0].id, "c1_seg");
  EXPECT_THAT(cases[0].images, ElementsAre((folder_ / "imagesTr/c1_t1.nii.gz").string()));

  // nnU-Net 1 lists images without the number of the channel; a copied part of a data set keeps its list.
  fs::remove_all(folder_ / "imagesTr");
  fs::remove_all(folder_ / "labelsTr");
  touch("imagesTr/d_0000.nii.gz");
  touch("labelsTr/d.nii.gz");
  touch("dataset.json", R"({"modality": {"0": "MRI"}, "training": [
      {"image": "./imagesTr/d.nii.gz", "label": "./labelsTr/d.nii.gz"},
      {"image": "./imagesTr/e.nii.gz", "label": "./labelsTr/e.nii.gz"}]})");
  cases = read();
  ASSERT_EQ(cases.size(), 1u);
  EXPECT_THAT(cases[0].images, ElementsAre((folder_ / "imagesTr/d_0000.nii.gz").string()));
}

TEST_F(Datasets, LinksToNothingAreTold) {
  touch("images/a.nii.gz");
  touch("labels/a.nii.gz");
  fs::create_symlink("/nowhere/b.nii.gz", folder_ / "images/b.nii.gz");
  EXPECT_THAT(refusal(), HasSubstr("images/b.nii.gz is a link to /nowhere/b.nii.gz, which is not there"));
}

TEST_F(Datasets, ManyProblemsAreLinesAndAreCutShort) {
  for (int i = 0; i < 30; ++i) touch("images/x" + std::to_string(i) + ".nii.gz");
  const std::string text = refusal("folders");
  EXPECT_THAT(text, HasSubstr("30 problems:\n  case x0 "));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 11);
  EXPECT_THAT(text, testing::EndsWith("\n  and 20 more"));
}

TEST_F(Datasets, FreesurferSubjects) {
  for (const char* id : {"bert", "ernie", "fsaverage"}) {
    touch(std::string(id) + "/mri/norm.mgz");
    touch(std::string(id) + "/mri/aseg.mgz");
  }
  touch("README", "no subject");
  for (const char* name : {"fsaverage5", "cvs_avg35_inMNI152"}) touch(std::string(name) + "/mri/norm.mgz");
  fs::create_symlink("/nowhere/lh.EC_average", folder_ / "lh.EC_average");
  const auto cases = read();
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_EQ(cases[0].id, "bert");
  EXPECT_EQ(cases[0].labels, (folder_ / "bert/mri/aseg.mgz").string());
  EXPECT_EQ(cases[0].region, "");

  fs::create_directory_symlink("/nowhere/kermit", folder_ / "kermit");
  EXPECT_THAT(refusal(), HasSubstr("kermit is a link to /nowhere/kermit, which is not there"));
  fs::remove(folder_ / "kermit");
  fs::create_directory_symlink("kermit", folder_ / "kermit");  // to itself
  EXPECT_THAT(refusal(), HasSubstr("kermit is a link to kermit"));
  fs::remove(folder_ / "kermit");

  DatasetSettings settings;
  settings.folder = folder_.string();
  settings.labels = "mri/hippo.mgz";
  settings.region = "mri/aseg.mgz";
  touch("bert/mri/hippo.mgz");
  try {
    read_dataset(settings);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("subject ernie lacks"));
  }
  touch("ernie/mri/hippo.mgz");
  EXPECT_EQ(read_dataset(settings)[1].region, (folder_ / "ernie/mri/aseg.mgz").string());
}

TEST_F(Datasets, PlainFolders) {
  touch("images/x.nii.gz");
  touch("images/y.mgz");
  touch("labels/x.nii");
  touch("labels/y.nii.gz");
  const auto cases = read();
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_EQ(cases[1].id, "y");
  EXPECT_EQ(cases[1].labels, (folder_ / "labels/y.nii.gz").string());
}

TEST_F(Datasets, EveryProblemIsToldAtOnce) {
  touch("images/a.nii.gz");
  touch("images/b.nii.gz");
  touch("images/b.nii");
  touch("labels/b.nii.gz");
  touch("labels/c.nii.gz");
  const std::string text = refusal();
  EXPECT_THAT(text, HasSubstr("3 problems"));
  EXPECT_THAT(text, HasSubstr("case a has no labels"));
  EXPECT_THAT(text, HasSubstr("two images for case b"));
  EXPECT_THAT(text, HasSubstr("c.nii.gz have no image"));
}

TEST_F(Datasets, FoldersThatAreNoDatasets) {
  EXPECT_THAT(refusal(), HasSubstr("not a dataset"));
  EXPECT_THAT(refusal("decathlon"), HasSubstr("no dataset.json"));
  EXPECT_THAT(refusal("folders"), HasSubstr("no case found"));
  DatasetSettings settings;
  try {
    read_dataset(settings);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("setting data.dataset.folder:"));
  }
  settings.folder = (folder_ / "missing").string();
  EXPECT_THROW(read_dataset(settings), Error);
  touch("sub-01/anat/sub-01_T1w.nii.gz");
  EXPECT_THAT(refusal(), HasSubstr("holds BIDS subjects"));
  EXPECT_THAT(refusal(), HasSubstr("data.dataset.layout = \"bids\""));
}

}  // namespace
}  // namespace mambaseg
