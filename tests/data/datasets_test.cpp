#include "mambaseg/data/datasets.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

/// A folder of empty files: reading a dataset looks at names only.
class Datasets : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::temp_directory_path() /
        ("mambaseg_datasets_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

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

  fs::path folder_;
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

TEST_F(Datasets, FreesurferSubjects) {
  for (const char* id : {"bert", "ernie", "fsaverage"}) {
    touch(std::string(id) + "/mri/norm.mgz");
    touch(std::string(id) + "/mri/aseg.mgz");
  }
  touch("README", "no subject");
  const auto cases = read();
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_EQ(cases[0].id, "bert");
  EXPECT_EQ(cases[0].labels, (folder_ / "bert/mri/aseg.mgz").string());
  EXPECT_EQ(cases[0].region, "");

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
  EXPECT_THROW(read_dataset(settings), UsageError);
  settings.folder = (folder_ / "missing").string();
  EXPECT_THROW(read_dataset(settings), Error);
}

}  // namespace
}  // namespace mambaseg
